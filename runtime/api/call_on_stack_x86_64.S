# call_on_stack_x86_64.S - void* oc_call_on_stack(function, argument, top): runs function(argument) on another stack
#
# An ordinary frame for the unwinder: its CFA hangs on rbp, so exceptions, cancellation and backtraces pass from one stack to the
# other.

    .text
    .globl oc_call_on_stack
    .hidden oc_call_on_stack
    .type oc_call_on_stack, @function
    .balign 16
oc_call_on_stack:
    .cfi_startproc
    endbr64
    push %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    mov %rsp, %rbp
    .cfi_def_cfa_register %rbp
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsp
    and $-16, %rsp
    call *%rax
    mov %rbp, %rsp
    pop %rbp
    .cfi_def_cfa %rsp, 8
    ret
    .cfi_endproc
    .size oc_call_on_stack, .-oc_call_on_stack

    .section .note.GNU-stack,"",@progbits
