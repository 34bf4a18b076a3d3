/* SPDX-License-Identifier: Apache-2.0 */
#include "base/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* Binds a datagram socket at an address that the kernel picks in the abstract namespace, and
 * names it in NOTIFY_SOCKET as systemd does. */
static int listen_abstract(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    socklen_t length = sizeof at.sun_family;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, length), 0);
    length = sizeof at;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &length), 0);
    char name[sizeof at.sun_path + 1] = "@";
    size_t name_length = length - offsetof(struct sockaddr_un, sun_path) - 1;
    memcpy(name + 1, at.sun_path + 1, name_length);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    return fd;
}

static void the_state_arrives_as_one_datagram(void **state)
{
    (void)state;
    int fd = listen_abstract();
    notify_send("READY=1\nSTATUS=well");
    char got[64];
    ssize_t n = recv(fd, got, sizeof got, 0);
    assert_int_equal(n, 19);
    assert_memory_equal(got, "READY=1\nSTATUS=well", 19);
    close(fd);
    notify_send("READY=1"); /* nobody listens any more: no harm */
}

static void odd_addresses_are_left_alone(void **state)
{
    (void)state;
    char longer[300];
    memset(longer, '/', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    static const char *const odd[] = {"", "relative", "/nonexistent/socket"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        assert_int_equal(setenv("NOTIFY_SOCKET", odd[i], 1), 0);
        notify_send("READY=1");
    }
    assert_int_equal(setenv("NOTIFY_SOCKET", longer, 1), 0);
    notify_send("READY=1");
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    notify_send("READY=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_state_arrives_as_one_datagram),
        cmocka_unit_test(odd_addresses_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
