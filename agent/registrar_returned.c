/* SPDX-License-Identifier: Apache-2.0 */
/* What was taken back is remembered. As long as it is wanted unchanged, what is in force is held in
 * its place; whatever else is new is applied. */
#include "agent/registrar_internal.h"

#include <string.h>

/* The same bytes are the same under any number, unless they are in force: then it was about the
 * number. */
static bool holds(const struct registry_items *target, const struct registry_items *now,
                  const struct registry_returned_item *item)
{
    const struct registry_item *wanted = sync_item_of(target, item->name);
    const struct registry_item *held = sync_item_of(now, item->name);
    if (item->version == 0 || wanted == NULL)
        return item->version == 0 && wanted == NULL;
    if (memcmp(wanted->sha256, item->sha256, 32) != 0)
        return false;
    return held == NULL || memcmp(held->sha256, item->sha256, 32) != 0 ||
           wanted->version == item->version;
}

static bool is_number_alone(const struct registry_items *now,
                            const struct registry_returned_item *item)
{
    const struct registry_item *held = sync_item_of(now, item->name);
    return held != NULL && item->version > 0 && memcmp(held->sha256, item->sha256, 32) == 0;
}

/* A new number for what is in force anyway counts only where nothing else was new. */
bool returned_in(const struct registry_returned *returned, const struct registry_items *target,
                 const struct registry_items *now)
{
    size_t numbers = 0;
    for (size_t i = 0; i < returned->count; i++)
        numbers += is_number_alone(now, &returned->items[i]) ? 1 : 0;
    for (size_t i = 0; i < returned->count; i++) {
        const struct registry_returned_item *item = &returned->items[i];
        if (!holds(target, now, item) &&
            (numbers == returned->count || !is_number_alone(now, item)))
            return false;
    }
    return returned->count > 0;
}

static const struct registry_returned_item *named(const struct registry_returned *returned,
                                                  const char *name)
{
    for (size_t i = 0; i < returned->count; i++) {
        if (strcmp(returned->items[i].name, name) == 0)
            return &returned->items[i];
    }
    return NULL;
}

/* Nobody knows which of several new ones was bad: they are held while all of them are wanted, and
 * one of them alone when it was there each time of two. */
static const struct registry_returned *held_for(const struct registry_returns *returns,
                                                const bool *whole,
                                                const struct registry_items *target,
                                                const struct registry_items *now, const char *name)
{
    const struct registry_returned *newest = NULL;
    unsigned times = 0;
    for (size_t i = returns->count; i > 0; i--) {
        const struct registry_returned *returned = &returns->returned[i - 1];
        const struct registry_returned_item *item = named(returned, name);
        if (item == NULL || returned->to == 0 || returned->again || !holds(target, now, item))
            continue;
        if (whole[i - 1])
            return returned;
        newest = newest == NULL ? returned : newest;
        times++;
    }
    return times > 1 ? newest : NULL;
}

static void look(const struct registrar *registrar, const struct registry_items *target,
                 struct returned_view *view)
{
    const struct registry_returns *returns = &registrar->trial.returns;
    const struct registry_items *now = &registrar->held.current.list;
    const struct sync_wants *wants = &registrar->desired->wants;
    bool whole[REGISTRY_RETURNED];
    for (size_t i = 0; i < returns->count; i++)
        whole[i] = returned_in(&returns->returned[i], target, now);
    for (size_t i = 0; i < wants->count; i++) {
        const char *name = wants->wants[i].item.name;
        if (wants->wants[i].mode == MUSTER__ASSIGN_MODE__MODE_REPAIR)
            view->wants[i] = held_for(returns, whole, target, now, name);
        view->count += view->wants[i] != NULL ? 1 : 0;
    }
    for (size_t i = 0; i < now->count; i++) {
        const char *name = now->items[i].name;
        if (sync_want_of(wants, name) == NULL)
            view->gone[i] = held_for(returns, whole, target, now, name);
        view->count += view->gone[i] != NULL ? 1 : 0;
    }
}

void returned_look(const struct registrar *registrar, struct returned_view *ret_view)
{
    struct registry_items target;
    *ret_view = (struct returned_view){0};
    if (registrar->trial.returns.count == 0 || registrar->desired == NULL || registrar->outdated)
        return;
    sync_target(&registrar->desired->wants, &registrar->held.current.list, &target);
    look(registrar, &target, ret_view);
}

static bool is_held(const struct registrar *registrar, const struct returned_view *view,
                    const char *name)
{
    const struct sync_wants *wants = &registrar->desired->wants;
    const struct sync_want *want = sync_want_of(wants, name);
    const struct registry_items *now = &registrar->held.current.list;
    const struct registry_item *held = sync_item_of(now, name);
    return want != NULL ? view->wants[want - wants->wants] != NULL
                        : held != NULL && view->gone[held - now->items] != NULL;
}

/* Both lists are ascending by name. */
void returned_target(const struct registrar *registrar, struct registry_items *ret_target)
{
    const struct registry_items *now = &registrar->held.current.list;
    struct returned_view view;
    struct registry_items wanted;
    sync_target(&registrar->desired->wants, now, &wanted);
    returned_look(registrar, &view);
    ret_target->count = 0;
    for (size_t w = 0, n = 0; w < wanted.count || n < now->count;) {
        int order = w == wanted.count ? 1
                    : n == now->count ? -1
                                      : strcmp(wanted.items[w].name, now->items[n].name);
        const struct registry_item *want = order <= 0 ? &wanted.items[w++] : NULL;
        const struct registry_item *held = order >= 0 ? &now->items[n++] : NULL;
        bool stays = is_held(registrar, &view, want != NULL ? want->name : held->name);
        const struct registry_item *item = stays ? held : want;
        if (item != NULL && ret_target->count < REGISTRY_ITEMS)
            ret_target->items[ret_target->count++] = *item;
    }
}
