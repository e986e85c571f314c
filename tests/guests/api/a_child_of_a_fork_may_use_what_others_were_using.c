// a_child_of_a_fork_may_use_what_others_were_using.c - keys, listeners and segments: threads are in the middle of them at each fork, and
// the child uses them as well
// TEST: libs=ocrun_shared timeout=60
#include "api.h"

static int done;

static void hears(void* unused, const oc_event* event) { (void)unused, (void)event; }

static void* leaf(void* n) { return n; }

static void use(void) {
    oc_local key;
    void* value;
    CHECK_EQ(oc_local_create(&key, NULL), 0);
    CHECK_EQ(oc_local_set(key, &key), 0);
    CHECK(oc_local_get(key) == &key);
    oc_local_delete(key);
    CHECK_EQ(oc_listener_add(hears, &key), 0);
    CHECK_EQ(oc_listener_remove(hears, &key), 0);
    // More than is left: on a segment.
    CHECK_EQ(oc_maybe_grow_stack(1ul << 40, 0, leaf, &key, &value), 0);
    CHECK(value == &key);
}

static void* uses(void* unused) {
    while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) use();
    return unused;
}

int main(void) {
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&threads[i], NULL, uses, NULL), 0);
    for (int i = 0; i < 200; i++) {
        pid_t child = fork();
        CHECK_OK(child);
        if (!child) {
            use();
            _exit(0);
        }
        int status;
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK_EQ(status, 0);
    }
    __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    say("ok");
    return 0;
}
