/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/post.h"

#include "tests/unit/testing.h"

#include <string.h>

struct ended {
    bool done;
    long status;
    char why[256];
};

static void note(void *ctx, long status, const char *why)
{
    struct ended *ended = ctx;
    ended->done = true;
    ended->status = status;
    (void)snprintf(ended->why, sizeof ended->why, "%s", why);
}

static struct ended post_to(const char *url)
{
    static const char *const headers[] = {NULL};
    struct ended ended = {0};
    struct post *post = NULL;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_true(post_open(&loop, &post, NULL));
    assert_true(post_send(
        post,
        &(struct post_order){
            .url = url, .headers = headers, .body = bytes_of("{}", 2), .done = note, .ctx = &ended},
        NULL));
    while (!ended.done)
        (void)uv_run(&loop, UV_RUN_ONCE);
    post_close(post);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    return ended;
}

/* What a name has come to counts, so what is asked here has passed no check of the URL. */
static void a_link_local_address_is_not_connected(void **state)
{
    static const char *const urls[] = {"https://169.254.169.254/latest/meta-data/",
                                       "https://[fe80::1]/", "https://[::ffff:169.254.169.254]/",
                                       "http://169.254.0.1/", "https://2852039166/"};
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct ended ended = post_to(urls[i]);
        assert_int_equal(ended.status, 0);
        assert_non_null(strstr(ended.why, "link-local"));
    }
}

static void without_tls_nothing_leaves_the_machine(void **state)
{
    static const char *const urls[] = {"http://192.0.2.1/", "http://[2001:db8::1]/",
                                       "HTTP://10.0.0.1/"};
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct ended ended = post_to(urls[i]);
        assert_int_equal(ended.status, 0);
        assert_non_null(strstr(ended.why, "of this machine"));
    }
    /* Here it is tried: nobody listens on port 1. */
    assert_null(strstr(post_to("http://127.0.0.1:1/").why, "of this machine"));
}

static void only_what_can_be_posted_to_is_a_url(void **state)
{
    static const char *const bad[] = {"https://169.254.169.254/",
                                      "https://[fe80::1]/",
                                      "https://[::ffff:169.254.1.1]/",
                                      "https://2852039166/",
                                      "https://b\xc3\xbc"
                                      "cher.example/",
                                      "https://b%C3%BC"
                                      "cher.example/"};
    static const char *const good[] = {"https://xn--bcher-kva.example/", "https://10.1.2.3/",
                                       "https://[fd00::1]/", "http://[::1]:8080/",
                                       "https://hooks.example/b%C3%BCcher"};
    struct err err;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(post_url_check(bad[i], &err));
        assert_int_equal(err.code, ERR_INVALID);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(post_url_check(good[i], NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_local_address_is_not_connected),
        cmocka_unit_test(without_tls_nothing_leaves_the_machine),
        cmocka_unit_test(only_what_can_be_posted_to_is_a_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
