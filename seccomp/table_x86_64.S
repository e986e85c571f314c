# table_x86_64.S - entry and exit of the function table that libocrun calls (runtime/api/table.h)
#
# long oc_table_X(rdi: self = GuestContext*, rsi, rdx): an ordinary call on the guest's stack. What the ABI lets a callee
# change is not saved; the rest goes to the context, where a signal's frame, the dump and the slow exit find it.

    .text
    .macro table_entry name
    .globl oc_table_\name
    .balign 16
oc_table_\name:
    lea oc_call_\name(%rip), %r11
    jmp table_common
    .endm

    table_entry park
    table_entry unpark
    table_entry yield
    table_entry info
    table_entry hand_over
    table_entry waiting_call
    table_entry rank

    .balign 16
table_common:
    mov (%rsp), %rax
    lea 8(%rsp), %rcx
    mov %rax, 128(%rdi)                 # GuestRegs.rip: behind the call
    mov %rcx, 120(%rdi)                 # rsp
    mov %r12, 32(%rdi)
    mov %r13, 40(%rdi)
    mov %r14, 48(%rdi)
    mov %r15, 56(%rdi)
    mov %rbp, 80(%rdi)
    mov %rbx, 88(%rdi)
    cmpq $0, 248(%rdi)                  # GuestContext.gs_base: a guest with a GS of its own
    jne table_own_gs
1:  movw $0x100, 264(%rdi)              # GuestContext.xstate_live: a callee need not keep the extended state, but for the
    stmxcsr 268(%rdi)                   # control words (table_mxcsr, table_x87_control), which are set (table_words_set, 265)
    fnstcw 272(%rdi)
    mov %rdi, %rbx
    mov 232(%rdi), %rsp                 # GuestContext.runtime_stack
    xor %ebp, %ebp
    call *%r11
    mov %rax, 104(%rbx)
    cmpb $0, 265(%rbx)
    jne oc_table_exit_begin
    stmxcsr 276(%rbx)                   # others have run here
    mov 276(%rbx), %ecx
    cmp 268(%rbx), %ecx
    je 2f
    ldmxcsr 268(%rbx)
2:  fnstcw 276(%rbx)
    mov 276(%rbx), %cx
    cmp 272(%rbx), %cx
    je oc_table_exit_begin
    fldcw 272(%rbx)
    .globl oc_table_exit_begin, oc_table_exit_end, oc_table_again
oc_table_exit_begin:                    # from here on the context holds everything: who interrupts goes to oc_table_again
    cmpl $0, %gs:16                     # TrapThread.latched
    jne oc_table_again
    cmpq $0, 248(%rbx)
    jne oc_table_again
    movl $-1, %gs:24                    # TrapThread.in_use
    mov 104(%rbx), %rax
    mov 32(%rbx), %r12
    mov 40(%rbx), %r13
    mov 48(%rbx), %r14
    mov 56(%rbx), %r15
    mov 80(%rbx), %rbp
    mov 120(%rbx), %rsp
    mov 88(%rbx), %rbx
    sub $8, %rsp                        # the return address is still there: handlers run on the alt stack
    ret
oc_table_exit_end:

    .balign 16
oc_table_again:
    mov %gs:8, %rdi                     # TrapThread.current
    mov 232(%rdi), %rsp
    xor %ebp, %ebp
    call oc_table_slow_exit
    ud2

    # The worker is found by the context: TrapThread of the thread that runs it.
table_own_gs:
    mov %r11, 24(%rdi)                  # GuestRegs.r11: dead at a call
    mov %rdi, 64(%rdi)                  # rdi
    mov %rsi, 72(%rdi)
    mov %rdx, 96(%rdi)
    mov 232(%rdi), %rsp
    xor %ebp, %ebp
    mov %rdi, %rbx
    call oc_table_take_gs
    mov %rbx, %rdi
    mov 24(%rdi), %r11
    mov 72(%rdi), %rsi
    mov 96(%rdi), %rdx
    jmp 1b

    .section .note.GNU-stack,"",@progbits
