# switch_x86_64.S - leaves one runtime stack for another
#
# transfer_t oc_switch(rdi: fcontext_t to, rsi: data), as jump_fcontext of Boost.Context and with its frame, so that make_fcontext
# makes the first one. Only the control words are left where they are: they are the guest's, saved and restored with its extended
# state, and an `fldcw` would mark x87 as in use in every thread, which plain moves then could not save (seccomp/xstate_x86_64.S).

    .text
    .globl oc_switch
    .balign 32
oc_switch:
    push %rbp
    push %rbx
    push %r15
    push %r14
    push %r13
    push %r12
    lea -8(%rsp), %rax                  # Boost keeps the control words there
    lea 8(%rdi), %rsp
    pop %r12
    pop %r13
    pop %r14
    pop %r15
    pop %rbx
    pop %rbp
    mov %rsi, %rdx                      # returned to a context that left by oc_switch
    mov %rax, %rdi                      # the argument of one that begins
    ret                                 # not a jump: who left at the same place finds its returns predicted

    .section .note.GNU-stack,"",@progbits
