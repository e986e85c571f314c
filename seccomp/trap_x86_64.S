# trap_x86_64.S - the one way out to the guest, interruptible system calls, and stack-leaving helpers (see trap.h)

    .text

# The entry from a stub: everything is the guest's but rcx, which is where the guest goes on. Nothing is pushed on the guest's
# stack, and rsp is the context's address for a few instructions: host handlers run on the alt stack.
    .globl oc_stub_entry
    .balign 64
oc_stub_entry:
    mov %rsp, %r11
    mov %gs:8, %rsp                     # TrapThread.current
    mov %r11, 120(%rsp)
    mov %rcx, 112(%rsp)                 # as the instruction leaves it
    mov %rcx, 128(%rsp)
    mov %r8, 0(%rsp)
    mov %r9, 8(%rsp)
    mov %r10, 16(%rsp)
    mov %r12, 32(%rsp)
    mov %r13, 40(%rsp)
    mov %r14, 48(%rsp)
    mov %r15, 56(%rsp)
    mov %rdi, 64(%rsp)
    mov %rsi, 72(%rsp)
    mov %rbp, 80(%rsp)
    mov %rbx, 88(%rsp)
    mov %rdx, 96(%rsp)
    mov %rax, 104(%rsp)
    mov %eax, 260(%rsp)                 # GuestContext.trap_nr
    movl $0xc000003e, 256(%rsp)         # .trap_arch = AUDIT_ARCH_X86_64
    movb $1, 264(%rsp)                  # .xstate_live
    mov %rsp, %rdi
    mov 232(%rdi), %rsp                 # .runtime_stack
    pushfq
    pop %r11
    mov %r11, 24(%rdi)
    mov %r11, 136(%rdi)
    test $0x44400, %r11d                # AC NT DF
    jz 1f
    push $0x202
    popfq
1:  xor %ebp, %ebp
    push $0                             # it does not return: a jump leaves nothing on the return stack
    jmp oc_enter_stub

# Handlers are entered with the guest's AC and NT: code of ours would fault at unaligned data, and at iretq.
.macro plain_flags
    pushfq
    testl $0x44000, (%rsp)
    lea 8(%rsp), %rsp
    jz 77f
    push $0x202
    popfq
77:
.endm

# Everything of the context at rdi but rcx, rsp and rdi itself.
.macro load_registers
    mov 0(%rdi), %r8
    mov 8(%rdi), %r9
    mov 16(%rdi), %r10
    mov 24(%rdi), %r11
    mov 32(%rdi), %r12
    mov 40(%rdi), %r13
    mov 48(%rdi), %r14
    mov 56(%rdi), %r15
    mov 72(%rdi), %rsi
    mov 80(%rdi), %rbp
    mov 88(%rdi), %rbx
    mov 96(%rdi), %rdx
    mov 104(%rdi), %rax
.endm

# void oc_resume_guest(GuestContext* rdi)
    .globl oc_resume_guest, oc_exit_begin, oc_exit_end, oc_exit_again
    .balign 64
oc_resume_guest:
    cmpb $0, 264(%rdi)                  # GuestContext.xstate_live
    jne oc_exit_begin
    mov %rdi, %rbx
    mov 280(%rdi), %rdx                 # .high
    mov 224(%rdi), %rdi                 # .xsave
    mov %gs:24, %esi                    # TrapThread.in_use
    call oc_xstate_restore
    mov %rbx, %rdi
    movb $1, 264(%rdi)
oc_exit_begin:
    movl $-1, %gs:24
    cmpl $0, %gs:16                     # TrapThread.latched
    jne oc_exit_again
    mov 128(%rdi), %rcx
    cmp 112(%rdi), %rcx                 # behind a system call rcx is rip: a jump can do it
    jne 2f
    cmpq $0, 248(%rdi)                  # .gs_base
    jne 2f
    mov 136(%rdi), %edx
    mov %edx, %eax
    and $~0x8d5, %eax                   # but for OF SF ZF AF PF CF the flags must be what they are now
    cmp $0x202, %eax
    jne 2f
    mov %dl, %ah
    shr $11, %edx
    and $1, %edx
    mov %dl, %al
    add $0x7f, %al                      # OF
    sahf                                # SF ZF AF PF CF
    load_registers
    mov 120(%rdi), %rsp
    mov 64(%rdi), %rdi
    jmp *%rcx
2:  mov 128(%rdi), %rax                 # the iretq frame: rip, cs, eflags, rsp, ss
    mov 136(%rdi), %rdx
    mov 120(%rdi), %rcx
    mov %rax, 184(%rdi)
    movq $0x33, 192(%rdi)
    mov %rdx, 200(%rdi)
    mov %rcx, 208(%rdi)
    movq $0x2b, 216(%rdi)
    mov 248(%rdi), %rax                 # .gs_base: set by few guests; handlers find the thread without GS
    test %rax, %rax
    jz 3f
    cmpl $0, oc_gs_by_call(%rip)        # seccomp/segment_bases.h
    jne 4f
    wrgsbase %rax
3:  load_registers
    mov 112(%rdi), %rcx
    lea 184(%rdi), %rsp                 # the iretq frame; handlers run on the alt stack, nothing is pushed here
    mov 64(%rdi), %rdi
    iretq
4:  mov %rdi, %rbx
    mov %rax, %rsi
    mov $0x1001, %edi                   # ARCH_SET_GS
    mov $158, %eax                      # arch_prctl
    syscall
    mov %rbx, %rdi
    jmp 3b
oc_exit_end:

    .balign 16
oc_exit_again:
    mov %gs:8, %rdi                     # TrapThread.current
    mov 232(%rdi), %rsp                 # GuestContext.runtime_stack
    plain_flags
    xor %ebp, %ebp
    call oc_exit_loop
    ud2

# long oc_syscall_intr(nr, a, b, c, d, e, [rsp+8] f)
    .globl oc_syscall_intr, oc_intr_begin, oc_intr_end, oc_intr_abort, oc_intr_never
    .balign 16
oc_syscall_intr:
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    mov %r8, %r10
    mov %r9, %r8
    mov 8(%rsp), %r9
    xor %ecx, %ecx                      # the kernel sets it to oc_intr_end: a restarted call is told from one not begun
oc_intr_begin:
    cmpl $0, %gs:16
    jne oc_intr_never
    syscall
oc_intr_end:
    mov $1, %edx
    cmpl $0, oc_returns_spoilt(%rip)
    je 1f
    lea 1f(%rip), %rcx
    jmp oc_fill_returns
1:  ret
oc_intr_abort:
    mov $-4, %rax                       # -EINTR
    mov $1, %edx
    ret
oc_intr_never:
    mov $-4, %rax
    xor %edx, %edx
    ret

# Jumped to behind a system call (trap.h: hot_syscall), with the way back in rcx. Speculation ends at each int3.
    .globl oc_fill_returns, oc_returns_spoilt
    .balign 64
oc_fill_returns:
    lea -128(%rsp), %rsp                # the red zone
    .rept 6
    call 1f
    int3
1:
    .endr
    lea 128+6*8(%rsp), %rsp
    jmp *%rcx

    .bss
    .balign 4
oc_returns_spoilt:
    .long 0
    .text

# long oc_clone_child(flags, stack_top, parent_tid, child_tid, child, argument)
    .globl oc_clone_child
    .balign 16
oc_clone_child:
    sub $16, %rsi
    mov %r8, (%rsi)
    mov %r9, 8(%rsi)
    mov %rcx, %r10
    xor %r8d, %r8d
    mov $56, %eax                       # clone
    syscall
    test %rax, %rax
    jz 1f
    ret
1:  xor %ebp, %ebp
    pop %rax
    pop %rdi
    and $-16, %rsp
    call *%rax
    ud2

# void oc_leave(rdi: context, rsi: entry)
    .globl oc_leave
    .balign 16
oc_leave:
    mov 232(%rdi), %rsp
    plain_flags
    xor %ebp, %ebp
    call *%rsi
    ud2

    .section .note.GNU-stack,"",@progbits
