// exceptions_and_faults_end_only_their_task.cc - what a task throws or breaks is told by its join; the process goes on
// TEST: libs=ocrun_shared std=c++20
#include <stdexcept>

#include "api.h"

static void* throws(void*) { throw std::out_of_range("far out"); }
static void* throws_a_number(void*) { throw 7; }
static void* reads_nothing(void*) { return (void*)(long)*(volatile int*)nullptr; }
static void* divides(void* zero) { return (void*)(5 / *(volatile long*)zero); }
static void* fine(void* value) { return value; }

int main() {
    api_start();
    for (int i = 0; i < 20; i++) {
        oc_task* t = oc_task_create(throws, nullptr, 0);
        CHECK_EQ(oc_task_join(t, nullptr), -EPROTO);
        CHECK_EQ(oc_task_state(t), OC_ERROR);
        CHECK(!strcmp(oc_task_error_text(t), "far out"));
        std::exception_ptr e;
        CHECK_EQ(oc_task_exception(t, &e), 0);
        try {
            std::rethrow_exception(e);
        } catch (const std::out_of_range&) {
        }
        oc_task_drop(t);
        finished(oc_task_create(throws_a_number, nullptr, 0), -EPROTO);

        t = oc_task_create(reads_nothing, nullptr, 0);
        CHECK_EQ(oc_task_join(t, nullptr), -EFAULT);
        CHECK(!strncmp(oc_task_error_text(t), "SIGSEGV", 7));
        CHECK_EQ(oc_task_exception(t, &e), -ENOENT);
        oc_task_drop(t);
        t = oc_task_create(overflows, nullptr, 0);
        CHECK_EQ(oc_task_join(t, nullptr), -EFAULT);
        CHECK(strstr(oc_task_error_text(t), "stack overflow"));
        oc_task_drop(t);
        long zero = 0;
        finished(oc_task_create(divides, &zero, 0), -EFAULT);
        CHECK_EQ((long)finished(oc_task_create(fine, (void*)3, 0), 0), 3);
    }
    api_end();
    say("ok");
    return 0;
}
