# launch_x86_64.S - the entry point of the program: ours first, then libc's with the kernel's registers and stack as they were

    .text
    .globl oc_start
    .balign 16
oc_start:
    xor %ebp, %ebp
    mov %rsp, %rbx
    mov %rdx, %r12                      # for libc: a function to run at exit, 0 from Linux
    mov %rsp, %rdi
    and $-16, %rsp
    call oc_image_starts
    mov %r12, %rdx
    mov %rbx, %rsp
    jmp _start

    .section .note.GNU-stack, "", @progbits
