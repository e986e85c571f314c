// thread_stacks_have_the_size_and_guard_asked_for.c - stack attributes are true, and the whole stack can be used.
#include "check.h"

static void* look(void* arg) {
    pthread_attr_t attr;
    void* base;
    size_t size, guard;
    CHECK_0(pthread_getattr_np(pthread_self(), &attr));
    CHECK_0(pthread_attr_getstack(&attr, &base, &size));
    CHECK_0(pthread_attr_getguardsize(&attr, &guard));
    CHECK_EQ(size, *(size_t*)arg);
    CHECK((char*)&attr > (char*)base && (char*)&attr < (char*)base + size);
    CHECK_0(pthread_attr_destroy(&attr));
    volatile char use[200 * 1024];
    for (size_t i = 0; i < sizeof use; i += 1024) use[i] = 1;
    CHECK_EQ(use[1024], 1);
    return (void*)guard;
}

static void* main_stack(void) {
    pthread_attr_t attr;
    void* base;
    size_t size;
    CHECK_0(pthread_getattr_np(pthread_self(), &attr));
    CHECK_0(pthread_attr_getstack(&attr, &base, &size));
    CHECK((char*)&attr > (char*)base && (char*)&attr < (char*)base + size);
    CHECK_0(pthread_attr_destroy(&attr));
    return NULL;
}

static void* own_stack(void* arg) {
    CHECK((char*)&arg > (char*)arg && (char*)&arg < (char*)arg + 512 * 1024);
    return NULL;
}

int main(void) {
    main_stack();
    for (size_t size = 256 * 1024; size <= 4096 * 1024; size *= 2) {
        pthread_attr_t attr;
        pthread_attr_init(&attr);
        CHECK_0(pthread_attr_setstacksize(&attr, size));
        CHECK_0(pthread_attr_setguardsize(&attr, 3 * 4096));
        pthread_t t;
        CHECK_0(pthread_create(&t, &attr, look, &size));
        CHECK_EQ((long)finish(t), 3 * 4096);
    }
    void* memory = mmap(NULL, 512 * 1024, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    CHECK_0(pthread_attr_setstack(&attr, memory, 512 * 1024));
    pthread_t t;
    CHECK_0(pthread_create(&t, &attr, own_stack, memory));
    finish(t);
    say("ok");
}
