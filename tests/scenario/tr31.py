# SPDX-License-Identifier: Apache-2.0
"""Key blocks (ANSI X9.143, TR-31) of versions B and D for tests: wrapped here by openssl, not by our
code. Run as a program it prints the rows of tests/unit/tr31_made.h."""
import os
import subprocess

# Published (TR-31:2018, A.7.4): everybody knows it, and nobody may use it.
PROTECTION = bytes.fromhex("88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6")
# X9.143, table 2: what a derivation is for, by the protection key.
ALGORITHMS = {("B", 16): 0, ("B", 24): 1, ("D", 16): 2, ("D", 24): 3, ("D", 32): 4}


def openssl(*args, data):
    return subprocess.run(["openssl", *args], input=data, capture_output=True, check=True).stdout


def three_parts(key):
    return key if len(key) == 24 else key + key[:8]


def cmac(key, data, tdes=False):
    cipher = "DES-EDE3-CBC" if tdes else f"AES-{8 * len(key)}-CBC"
    key = three_parts(key) if tdes else key
    said = openssl("mac", "-macopt", f"cipher:{cipher}", "-macopt", f"hexkey:{key.hex()}", "-in",
                   "-", "CMAC", data=data)
    return bytes.fromhex(said.decode().strip())


def derive(protection, use, version="D"):
    """As many blocks as the protection key is long, the last one cut."""
    algorithm, bits = ALGORITHMS[version, len(protection)], 8 * len(protection)
    label = bytes([0, use, 0]) + algorithm.to_bytes(2, "big") + bits.to_bytes(2, "big")
    made = b"".join(cmac(protection, bytes([n]) + label, version == "B") for n in (1, 2, 3))
    return made[:len(protection)]


def kcv(key, tdes=False):
    if not tdes:
        return "aes-cmac:" + cmac(key, bytes(16))[:3].hex().upper()
    made = openssl("enc", "-des-ede3-ecb", "-nopad", "-K", three_parts(key).hex(), data=bytes(8))
    return "tdes-ecb:" + made[:3].hex().upper()


def wrap(key, version, usage="K0", mode="B", protection=PROTECTION, block="D", algorithm="A",
         pad=os.urandom):
    """A key as a block whose header has this key version."""
    size = 8 if block == "B" else 16
    clear = (8 * len(key)).to_bytes(2, "big") + key
    clear += pad(-len(clear) % size)
    length = 16 + 2 * len(clear) + 2 * size
    header = f"{block}{length:04d}{usage}{algorithm}{mode}{version:02d}N0000".encode()
    mac = cmac(derive(protection, 1, block), header + clear, block == "B")
    encrypt = derive(protection, 0, block)
    cipher, encrypt = (("-des-ede3-cbc", three_parts(encrypt)) if block == "B"
                       else (f"-aes-{8 * len(encrypt)}-cbc", encrypt))
    sealed = openssl("enc", cipher, "-nopad", "-K", encrypt.hex(), "-iv", mac.hex(), data=clear)
    return header + (sealed + mac).hex().upper().encode()


def main():
    key = bytes(range(0x10, 0x30))
    tdes = bytes.fromhex("0123456789ABCDEF23456789ABCDEF01456789ABCDEF0123")
    for where, protection, block, usage, algorithm, mode, version, length in (
            ("B, 24", tdes, "B", "P0", "T", "E", 1, 16),
            ("B, 24, 24", tdes, "B", "D0", "T", "B", 2, 24),
            ("D, 16", bytes(range(16)), "D", "P0", "A", "E", 3, 16),
            ("D, 24", bytes(range(24)), "D", "K0", "A", "B", 4, 16),
            ("D, 32, K0", PROTECTION, "D", "K0", "A", "B", 5, 16)):
        made = wrap(key[:length], version, usage, mode, protection, block, algorithm,
                    lambda count: bytes(range(1, 1 + count)))
        value = kcv(key[:length], algorithm == "T").split(":")[1]
        print(where, protection.hex().upper(), made.decode(), key[:length].hex().upper(), value)


if __name__ == "__main__":
    main()
