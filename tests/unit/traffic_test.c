/* SPDX-License-Identifier: Apache-2.0 */
#include "base/traffic.h"
#include "tests/unit/testing.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void headers_are_counted_with_the_options_in_use(void **state)
{
    static const struct {
        const char *what;
        struct traffic_tcp tcp;
        uint64_t up, down;
    } cases[] = {
        {"nothing sent", {0}, 0, 0},
        {"a SYN sent three times, no answer", {.segments_up = 3}, 3 * 60, 0},
        {"the same over IPv6", {.ipv6 = true, .segments_up = 3}, 3 * 80, 0},
        {"a SYN and a RST", {.segments_up = 1, .segments_down = 1}, 60, 40},
        {"handshake only",
         {.answered = true,
          .timestamps = true,
          .sack = true,
          .window_scale = true,
          .segments_up = 2,
          .segments_down = 1},
         60 + 52,
         60},
        {"data both ways",
         {.answered = true,
          .timestamps = true,
          .sack = true,
          .window_scale = true,
          .segments_up = 4,
          .segments_down = 3,
          .bytes_up = 1000,
          .bytes_down = 50},
         60 + 3 * 52 + 1000,
         60 + 2 * 52 + 50},
        {"a peer that knows no option but the MSS",
         {.answered = true, .segments_up = 3, .segments_down = 2, .bytes_up = 10, .bytes_down = 20},
         60 + 2 * 40 + 10,
         44 + 40 + 20},
        {"SACK without timestamps",
         {.answered = true, .sack = true, .segments_up = 1, .segments_down = 1},
         60,
         48},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct traffic traffic = {0};
        traffic_count_tcp(&cases[i].tcp, &traffic);
        if (traffic.up.tcpip != cases[i].up || traffic.down.tcpip != cases[i].down) {
            fail_msg("%s: %llu up, %llu down", cases[i].what, (unsigned long long)traffic.up.tcpip,
                     (unsigned long long)traffic.down.tcpip);
        }
    }
}

/* A connection of our own: the SYN, our ACK, 1000 bytes and their ACK, all over IPv4. */
static void a_socket_is_asked_what_it_has_cost(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct traffic traffic = {0};
    char data[1000] = {0};

    (void)state;
    assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, length), 0);
    int server = accept(listener, NULL, NULL);
    assert_true(server >= 0);
    assert_int_equal(send(client, data, sizeof data, 0), sizeof data);
    assert_int_equal(recv(server, data, sizeof data, MSG_WAITALL), sizeof data);
    traffic_count_socket(client, &traffic);
    assert_in_range(traffic.up.tcpip, 60 + 2 * 40 + 1000, 60 + 2 * 52 + 1000);
    assert_in_range(traffic.down.tcpip, 44 + 40, 60 + 2 * 52);
    assert_int_equal(traffic.up.tls, 0); /* other layers are left alone */
    (void)close(server);
    (void)close(client);
    (void)close(listener);
}

static void what_is_no_tcp_socket_costs_nothing(void **state)
{
    struct traffic traffic = {0}, nothing = {0};

    (void)state;
    traffic_count_socket(-1, &traffic);
    assert_true(traffic_equal(&traffic, &nothing));
    traffic_count_refusal(false, &traffic);
    assert_int_equal(traffic.up.tcpip, 60);
    assert_int_equal(traffic.down.tcpip, 40);
    assert_false(traffic_equal(&traffic, &nothing));
}

static void sums_keep_ways_and_layers_apart(void **state)
{
    struct traffic sum = {.up = {1, 2, 3, 4}, .down = {5, 6, 7, 8}};
    const struct traffic more = {.up = {10, 20, 30, 40}, .down = {50, 60, 70, 80}};
    const struct traffic want = {.up = {11, 22, 33, 44}, .down = {55, 66, 77, 88}};

    (void)state;
    traffic_add(&sum, &more);
    assert_true(traffic_equal(&sum, &want));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_counted_with_the_options_in_use),
        cmocka_unit_test(a_socket_is_asked_what_it_has_cost),
        cmocka_unit_test(what_is_no_tcp_socket_costs_nothing),
        cmocka_unit_test(sums_keep_ways_and_layers_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
