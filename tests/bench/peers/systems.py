# SPDX-License-Identifier: Apache-2.0
"""The systems: how each is set up at its safest reasonable setting, started, killed, handed to."""
import getpass
import subprocess

from fleet_side import FleetSide
from processes import free_port
from stage import BIN, DEVICE, TOPIC, Arrivals, Far

RETRY_S = 1  # each system tries the broker again after at most so long


def version_of(package):
    told = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], check=False,
                          capture_output=True, text=True)
    return told.stdout or "not installed"


class System:
    """`parts`: the processes that buffer and send; they are measured and killed together."""

    accepts_s = 180

    def __init__(self, case):
        self.case, self.parts = case, []
        self.folder = case.folder / self.name
        self.folder.mkdir()
        self.far = Far(case.processes, case.pki, case.folder / "far")
        self.sink = None
        self.identity = case.pki.client(DEVICE)
        database = case.folder / "sink.db"
        self.arrivals = Arrivals(database, "SELECT max(id) FROM arrived", "SELECT key FROM arrived")

    def spawn(self, name, *argv):
        return self.case.processes.start(name, argv, cwd=self.folder)

    def hand_over(self, program, *args):
        case = self.case
        return self.spawn("producer", BIN / program, "--records", case.records, "--marks",
                          case.marks.path, "--count", case.count, *args)

    def tls(self, identity):
        return ("--ca", self.case.pki.ca, "--cert", identity.certificate, "--key", identity.key)

    def prepare(self):
        """The broker knows its subscriber, and is gone."""
        self.far.start()
        self.sink = self.spawn("sink", BIN / "peers-mqttsink", "--port", self.far.port, "--topic",
                               "muster/v1/up/#", "--database", self.arrivals.path,
                               *self.tls(self.case.pki.client("musterd")))
        self.sink.wait_line("subscribed")
        self.far.stop()

    def arrive(self):
        """The far side is up again: what waits may come."""
        self.far.start()

    def met(self):
        return self.far.met()

    def kill(self):
        self.case.cost.take(self.parts)
        for part in self.parts:
            part.kill()

    def end(self):
        self.case.cost.take(self.parts)


class Muster(System):
    """libmuster, muster-agent, muster-link; arrivals are rows that musterd has committed."""

    name = "muster"
    said = ("muster: results by libmuster from 64 clients, accepted = answered, after COMMIT with "
            "synchronous=FULL; quota 512 MB; arrived = committed by musterd, which receipts only "
            "then; measured: agent and link")

    def __init__(self, case):
        super().__init__(case)
        self.fleet = FleetSide(BIN, case.processes, case.folder / "fleet")
        self.arrivals = Arrivals(self.fleet.folder / "fleet.db", "SELECT max(id) FROM result",
                                 "SELECT idempotency_key FROM result")
        (self.folder / "agent.conf").write_text(
            f"[device]\nid = {DEVICE}\nserial = SN-1\nmodel = P1\n[paths]\nstate = state\n"
            f"run = run\n[keys]\nagent = agent.pem\nroot = {self.fleet.root}\n[client]\nmax = 64\n"
            "[spool]\nquota = 512M\n")
        (self.folder / "link.conf").write_text(
            f"[device]\nid = {DEVICE}\n[broker]\nservers = {self.far.address}\n"
            f"retry_first = {RETRY_S}s\nretry_max = {RETRY_S}s\n[tls]\nca = {case.pki.ca}\n"
            f"certificate = {self.identity.certificate}\nkey = {self.identity.key}\n"
            "[agent]\nsocket = run/link.sock\n")

    def prepare(self):
        made = subprocess.run(
            [BIN / "muster-agent", "--config", self.folder / "agent.conf", "--make-key"],
            check=True, stdout=subprocess.PIPE, cwd=self.folder)
        (self.folder / "agent.pub").write_bytes(made.stdout)
        (self.folder / "run").mkdir()
        self.sink = self.fleet.start(self.far, self.case.pki)
        self.fleet.ctl_ok("device", "add", DEVICE, "--serial", "SN-1", "--model", "P1",
                          "--agent-key", self.folder / "agent.pub")

    def start(self):
        agent = self.spawn("agent", BIN / "muster-agent", "--config", "agent.conf")
        agent.wait_line("ready")
        self.parts = [agent, self.spawn("link", BIN / "muster-link", "--config", "link.conf")]

    def produce(self):
        return self.hand_over("peers-muster", "--socket", "run/client.sock", "--clients", "64")


class Paho(System):
    """An application with the C client: it is what buffers, and what is killed."""

    name = "paho"
    accepts_s = 60
    said = (f"paho: MQTTAsync {version_of('libpaho-mqtt1.3')}, QoS 1, file persistence, "
            "sendWhileDisconnected, allowDisconnectedSendAtAnyTime, maxBufferedMessages = all, "
            "maxInflight 65535, cleansession 0; what it did not take in 60 s is not handed over")

    def start(self):
        (self.folder / "kept").mkdir(exist_ok=True)
        self.parts = [self.hand_over(
            "peers-paho", "--server", f"ssl://localhost:{self.far.port}", "--folder", "kept",
            "--topic", TOPIC, "--limit-s", max(1, int(self.case.accept_left_s())),
            *self.tls(self.identity))]

    def produce(self):
        return None


class Bridge(System):
    """A mosquitto on the terminal that bridges to the far one."""

    name = "bridge"
    autosave = ""
    said = (f"bridge: mosquitto {version_of('mosquitto')}, QoS 1 in and out, persistence true, "
            "max_queued_messages 0 (the default of 1000 drops all beyond it), autosave_interval "
            "at its default of 1800 s, cleansession false, restart_timeout 1; accepted = PUBACK")

    def __init__(self, case):
        super().__init__(case)
        self.port = free_port()
        (self.folder / "mosquitto.conf").write_text(
            f"user {getpass.getuser()}\nlistener {self.port} 127.0.0.1\nallow_anonymous true\n"
            f"persistence true\npersistence_location {self.folder}/\n{self.autosave}"
            "max_queued_messages 0\nlog_dest stderr\nlog_type notice\nlog_type information\nlog_type error\n"
            f"connection up\naddress {self.far.address}\ntopic {TOPIC} out 1\n"
            f"remote_clientid {DEVICE}\ncleansession false\nrestart_timeout {RETRY_S}\n"
            "notifications false\ntry_private false\nbridge_protocol_version mqttv311\n"
            f"bridge_cafile {case.pki.ca}\nbridge_certfile {self.identity.certificate}\n"
            f"bridge_keyfile {self.identity.key}\n")

    def start(self):
        broker = self.spawn("bridge", "/usr/sbin/mosquitto", "-c", "mosquitto.conf")
        broker.wait_line("running")
        self.parts = [broker]

    def produce(self):
        return self.hand_over("peers-mqtt", "--port", self.port, "--topic", TOPIC)


class BridgeAutosave(Bridge):
    """The same, saving every second."""

    name = "bridge_autosave"
    autosave = "autosave_interval 1\n"
    said = "bridge_autosave: the same with autosave_interval 1"


class Rsyslog(System):
    """rsyslog with a disk-assisted queue before RELP, which acknowledges each message."""

    name = "rsyslog"
    said = (f"rsyslog: {version_of('rsyslog')}, a unix socket as input (base64 text; accepted = "
            "the socket took it, nothing more is said there), omrelp over TLS behind a "
            "disk-assisted LinkedList queue, checkpointInterval 100, saveOnShutdown "
            "on (syncQueueFiles off: on it takes some 200 records a second), resumeRetryCount -1, "
            "resumeInterval 1; the receiver answers at once and commits every 20 ms")
    config = """global(workDirectory="{folder}" maxMessageSize="8k")
main_queue(queue.type="Direct")
module(load="imuxsock" SysSock.Use="off")
module(load="omrelp" tls.tlslib="openssl")
template(name="line" type="string" string="%msg%")
input(type="imuxsock" Socket="{folder}/log" RateLimit.Interval="0" ruleset="up")
ruleset(name="up") {{
  action(type="omrelp" target="localhost" port="{port}" template="line" tls="on"
    tls.caCert="{ca}" tls.myCert="{certificate}" tls.myPrivKey="{key}"
    tls.authMode="certvalid"
    action.resumeRetryCount="-1" action.resumeInterval="1"
    action.resumeIntervalMax="1"
    queue.type="LinkedList" queue.filename="up" queue.maxDiskSpace="4g"
    queue.checkpointInterval="100" queue.syncQueueFiles="off" queue.saveOnShutdown="on"
    queue.timeoutEnqueue="60000")
}}
"""

    def __init__(self, case):
        super().__init__(case)
        (self.folder / "rsyslog.conf").write_text(self.config.format(
            folder=self.folder, port=self.far.port, ca=case.pki.ca,
            certificate=self.identity.certificate, key=self.identity.key))

    def prepare(self):
        """Nothing listens yet."""

    def arrive(self):
        self.sink = self.spawn("sink", BIN / "peers-relpsink", "--port", self.far.port,
                               "--database", self.arrivals.path, *self.tls(self.case.pki.server()))
        self.sink.wait_line("listening")

    def met(self):
        return "connected" in self.sink.log()

    def start(self):
        (self.folder / "log").unlink(missing_ok=True)
        (self.folder / "pid").unlink(missing_ok=True)
        self.parts = [self.spawn("rsyslogd", "/usr/sbin/rsyslogd", "-n", "-f", "rsyslog.conf",
                                 "-i", self.folder / "pid")]
        self.case.until((self.folder / "log").exists, "rsyslogd opens its socket")

    def produce(self):
        return self.hand_over("peers-syslog", "--socket", self.folder / "log")


SYSTEMS = {system.name: system for system in (Muster, Paho, Bridge, BridgeAutosave, Rsyslog)}
