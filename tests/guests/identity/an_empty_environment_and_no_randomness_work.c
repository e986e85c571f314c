// an_empty_environment_and_no_randomness_work.c - execve with no environment; ADDR_NO_RANDOMIZE gives the same
// addresses twice.
// TEST: link=dynamic,static-pie
#include <sys/personality.h>

#include "check.h"

int main(int argc, char** argv) {
    extern char** environ;
    int on_stack;
    char self[4096] = {0};
    if (argc == 3) {
        CHECK(environ[0] == NULL);
        void* mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        FILE* f = fopen(argv[2], "w");
        fprintf(f, "%p %p %p %p\n", (void*)main, (void*)&on_stack, mapped, sbrk(0));
        fclose(f);
        return 0;
    }
    CHECK_OK(readlink("/proc/self/exe", self, sizeof self - 1));
    for (int i = 0; i < 4; i++) {
        pid_t p = fork();
        if (p == 0) {
            char name[16], *args[] = {self, "child", name, NULL}, *env[] = {NULL};
            snprintf(name, sizeof name, "out-%d", i);
            if (i < 2) CHECK_OK(personality(personality(0xffffffff) | ADDR_NO_RANDOMIZE));
            execve(self, args, env);
            _exit(99);
        }
        CHECK_EXIT(p, 0);
    }
    say("without randomness: same %d", system("cmp -s out-0 out-1") == 0);
    say("with randomness: same %d", system("cmp -s out-2 out-3") == 0);
}
