// thread_exit_runs_destructors_and_cleanup_handlers.cc - pthread_exit unwinds, thread_local and key destructors run
// in order.
#include <string>

#include "check.h"

static std::string story;
static pthread_key_t key;

struct Note {
    const char* text;
    ~Note() { story += text; }
};

static thread_local Note per_thread{"thread_local "};

static void key_gone(void*) {
    story += "key ";
}

static void* leave(void*) {
    per_thread.text = "thread_local ";
    pthread_setspecific(key, &key);
    Note on_stack{"stack "};
    pthread_cleanup_push([](void*) { story += "cleanup "; }, nullptr);
    pthread_exit(reinterpret_cast<void*>(5));
    pthread_cleanup_pop(0);
    return nullptr;
}

int main() {
    CHECK_0(pthread_key_create(&key, key_gone));
    for (int i = 0; i < 3; i++) {
        story.clear();
        CHECK_EQ(reinterpret_cast<long>(finish(start(leave, nullptr))), 5);
        say("%s", story.c_str());
    }
}
