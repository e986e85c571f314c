// TEST: native-differs="the runtime says one line"
// A mapping moved or attached over the runtime's memory is refused or, natively, nothing special; the process lives
// on.
#include <sys/ipc.h>
#include <sys/shm.h>

#include "../check.h"

int main(void) {
    void* at = (void*)0x7c000000;
    const size_t bytes = 1 << 20;
    void* p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    void* q = mremap(p, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, at);
    CHECK(q == at || (q == MAP_FAILED && errno == ENOMEM));
    int id = shmget(IPC_PRIVATE, bytes, 0600);
    CHECK_OK(id);
    q = shmat(id, (char*)at - bytes / 2, SHM_REMAP);
    CHECK(q != (void*)-1 || errno == EINVAL);
    CHECK_OK(shmctl(id, IPC_RMID, NULL));
    pid_t child = fork();
    if (!child) _exit(4);
    CHECK_EXIT(child, 4);
    say("ok");
}
