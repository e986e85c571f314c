# xstate_x86_64.S - the extended state between CPU and context: plain moves for what ordinary code uses, XSAVE for the rest
#
# XSAVE and XRSTOR of all take some 160 ns together, the moves below a tenth of it. They serve states in which nothing is in use but
# SSE, the mask registers and zmm16-31 of AVX-512 (glibc's string functions leave those in use), and the rights of protection keys
# (the kernel gives every program some). oc_xstate_plain says which components this CPU's moves may handle. The area has the standard
# format either way.
#
# zmm16-31 are moved plainly where that is known to be harmless (oc_xstate_high: AMD), else by XSAVE and XRSTOR, some 90-120 ns:
# moves of 512 bits lower the clock of the whole core on Intel's CPUs of the first generations that have them (measured on Cascade
# Lake: a ping-pong over a unix socket became a fifth slower).
#
# zmm16-31, 1 KiB, are in use in every thread of a program whose first one called one of glibc's string functions, and most threads
# leave them as they were made with. So they may lie in a block that many contexts share (shared_high.h) instead of each one's area.
#
# The only code of the core, with trap_x86_64.S, that may name vector registers (scripts/check-core).

    .bss
    .globl oc_xstate_plain, oc_xstate_masks, oc_xstate_keys, oc_xstate_high
    .balign 8
oc_xstate_plain: .skip 4        # components that are moved plainly: 2, with AVX-512 0xa2, with protection keys 0x200 more
oc_xstate_masks: .skip 4        # where they lie in the area
oc_xstate_keys:  .skip 4
oc_xstate_high:  .skip 4        # where zmm16-31 lie, 0: not moved plainly

    .text
    .macro save_masks                   # to rdi + oc_xstate_masks
    mov oc_xstate_masks(%rip), %r8d
    add %rdi, %r8
    kmovq %k0, 0(%r8)
    kmovq %k1, 8(%r8)
    kmovq %k2, 16(%r8)
    kmovq %k3, 24(%r8)
    kmovq %k4, 32(%r8)
    kmovq %k5, 40(%r8)
    kmovq %k6, 48(%r8)
    kmovq %k7, 56(%r8)
    .endm
    .macro load_high from               # zmm16-31
    vmovups 0(\from), %zmm16
    vmovups 64(\from), %zmm17
    vmovups 128(\from), %zmm18
    vmovups 192(\from), %zmm19
    vmovups 256(\from), %zmm20
    vmovups 320(\from), %zmm21
    vmovups 384(\from), %zmm22
    vmovups 448(\from), %zmm23
    vmovups 512(\from), %zmm24
    vmovups 576(\from), %zmm25
    vmovups 640(\from), %zmm26
    vmovups 704(\from), %zmm27
    vmovups 768(\from), %zmm28
    vmovups 832(\from), %zmm29
    vmovups 896(\from), %zmm30
    vmovups 960(\from), %zmm31
    .endm

# u32 oc_xstate_save(u8* area, u8** high): returns the components that are in use. *high: a block that zmm16-31 may equal, or nullptr.
# Left as it is where they do, else nullptr, and they are in the area.
    .globl oc_xstate_save
    .balign 32
oc_xstate_save:
    mov $-1, %eax
    cmpl $0, oc_xstate_plain(%rip)
    je 4f                               # a CPU that does not tell: everything
    mov $1, %ecx
    xgetbv
4:  mov %rsi, %r9
    mov %eax, %esi
    or $2, %eax                         # SSE is saved in any case
    mov %eax, %edx
    mov oc_xstate_plain(%rip), %ecx
    not %ecx
    test %ecx, %edx
    jnz 3f
    mov %rax, 512(%rdi)                 # XSTATE_BV
    stmxcsr 24(%rdi)
    movups %xmm0, 160(%rdi)
    movups %xmm1, 176(%rdi)
    movups %xmm2, 192(%rdi)
    movups %xmm3, 208(%rdi)
    movups %xmm4, 224(%rdi)
    movups %xmm5, 240(%rdi)
    movups %xmm6, 256(%rdi)
    movups %xmm7, 272(%rdi)
    movups %xmm8, 288(%rdi)
    movups %xmm9, 304(%rdi)
    movups %xmm10, 320(%rdi)
    movups %xmm11, 336(%rdi)
    movups %xmm12, 352(%rdi)
    movups %xmm13, 368(%rdi)
    movups %xmm14, 384(%rdi)
    movups %xmm15, 400(%rdi)
    test $0x80, %al
    jz 1f
    mov oc_xstate_high(%rip), %ecx
    test %ecx, %ecx
    jnz 6f
    mov $0xa0, %eax
    xor %edx, %edx
    xsave64 (%rdi)                      # sets its own bits of XSTATE_BV, to what they are
    jmp 7f
6:  mov (%r9), %rdx
    test %rdx, %rdx
    jz 5f
    test $0x20, %al                     # comparing takes mask registers into use
    jz 5f
    save_masks
    vpcmpeqq 0(%rdx), %zmm16, %k1
    vpcmpeqq 64(%rdx), %zmm17, %k2
    vpcmpeqq 128(%rdx), %zmm18, %k3
    vpcmpeqq 192(%rdx), %zmm19, %k4
    vpcmpeqq 256(%rdx), %zmm20, %k1{%k1}
    vpcmpeqq 320(%rdx), %zmm21, %k2{%k2}
    vpcmpeqq 384(%rdx), %zmm22, %k3{%k3}
    vpcmpeqq 448(%rdx), %zmm23, %k4{%k4}
    vpcmpeqq 512(%rdx), %zmm24, %k1{%k1}
    vpcmpeqq 576(%rdx), %zmm25, %k2{%k2}
    vpcmpeqq 640(%rdx), %zmm26, %k3{%k3}
    vpcmpeqq 704(%rdx), %zmm27, %k4{%k4}
    vpcmpeqq 768(%rdx), %zmm28, %k1{%k1}
    vpcmpeqq 832(%rdx), %zmm29, %k2{%k2}
    vpcmpeqq 896(%rdx), %zmm30, %k3{%k3}
    vpcmpeqq 960(%rdx), %zmm31, %k4{%k4}
    kandw %k2, %k1, %k1
    kandw %k4, %k3, %k3
    kandw %k3, %k1, %k1
    kmovw %k1, %edx
    kmovq 8(%r8), %k1
    kmovq 16(%r8), %k2
    kmovq 24(%r8), %k3
    kmovq 32(%r8), %k4
    cmp $0xff, %edx
    je 7f
5:  movq $0, (%r9)
    vmovups %zmm16, 0(%rdi,%rcx)
    vmovups %zmm17, 64(%rdi,%rcx)
    vmovups %zmm18, 128(%rdi,%rcx)
    vmovups %zmm19, 192(%rdi,%rcx)
    vmovups %zmm20, 256(%rdi,%rcx)
    vmovups %zmm21, 320(%rdi,%rcx)
    vmovups %zmm22, 384(%rdi,%rcx)
    vmovups %zmm23, 448(%rdi,%rcx)
    vmovups %zmm24, 512(%rdi,%rcx)
    vmovups %zmm25, 576(%rdi,%rcx)
    vmovups %zmm26, 640(%rdi,%rcx)
    vmovups %zmm27, 704(%rdi,%rcx)
    vmovups %zmm28, 768(%rdi,%rcx)
    vmovups %zmm29, 832(%rdi,%rcx)
    vmovups %zmm30, 896(%rdi,%rcx)
    vmovups %zmm31, 960(%rdi,%rcx)
1:  test $0x20, %al
    jz 7f
    save_masks
7:  test $0x200, %esi
    jz 2f
    mov oc_xstate_keys(%rip), %r8d
    xor %ecx, %ecx
    rdpkru
    mov %eax, (%rdi,%r8)
    movl $0, 4(%rdi,%r8)
2:  mov %esi, %eax
    ret
3:  movq $0, (%r9)
    movq $0, 512(%rdi)                  # what is not in use keeps a clear bit, and XRSTOR makes it initial
    xor %edx, %edx
    xsave64 (%rdi)
    mov %esi, %eax
    ret

# void oc_xstate_restore(u8* area, u32 in_use, const u8* high): in_use is what the CPU has in use now, ~0: not known. high: where
# zmm16-31 are, nullptr: in the area.
    .globl oc_xstate_restore
    .balign 32
oc_xstate_restore:
    mov %rdx, %r9
    cmpl $0, oc_xstate_plain(%rip)
    je 4f
    cmp $-1, %esi
    jne 1f
    mov $1, %ecx
    xgetbv
    mov %eax, %esi
1:  mov 512(%rdi), %rax                 # XSTATE_BV
    mov oc_xstate_plain(%rip), %ecx
    not %ecx                            # sign: nothing above bit 31 is ever plain
    mov %eax, %edx
    or %esi, %edx
    test %ecx, %edx
    jnz 4f
    test $2, %al
    jz 4f
    mov %eax, %edx
    not %edx
    and %esi, %edx
    test $0x2a0, %edx                   # in use in the CPU and initial in the area
    jnz 4f
    test $0x200, %eax
    jz 5f
    mov oc_xstate_keys(%rip), %ecx
    mov (%rdi,%rcx), %r8d
    mov %rax, %rsi
    xor %ecx, %ecx
    rdpkru
    cmp %r8d, %eax                      # writing costs ten times as much as looking
    je 6f
    mov %r8d, %eax
    xor %edx, %edx
    wrpkru
6:  mov %rsi, %rax
5:
    ldmxcsr 24(%rdi)
    movups 160(%rdi), %xmm0
    movups 176(%rdi), %xmm1
    movups 192(%rdi), %xmm2
    movups 208(%rdi), %xmm3
    movups 224(%rdi), %xmm4
    movups 240(%rdi), %xmm5
    movups 256(%rdi), %xmm6
    movups 272(%rdi), %xmm7
    movups 288(%rdi), %xmm8
    movups 304(%rdi), %xmm9
    movups 320(%rdi), %xmm10
    movups 336(%rdi), %xmm11
    movups 352(%rdi), %xmm12
    movups 368(%rdi), %xmm13
    movups 384(%rdi), %xmm14
    movups 400(%rdi), %xmm15
    test $0x80, %al
    jz 2f
    mov oc_xstate_high(%rip), %ecx
    test %ecx, %ecx
    jnz 7f
    mov $0xa0, %eax
    xor %edx, %edx
    xrstor64 (%rdi)
    ret
7:  add %rdi, %rcx
    test %r9, %r9
    cmovnz %r9, %rcx
    load_high %rcx
2:  test $0x20, %al
    jz 3f
    mov oc_xstate_masks(%rip), %ecx
    add %rdi, %rcx
    kmovq 0(%rcx), %k0
    kmovq 8(%rcx), %k1
    kmovq 16(%rcx), %k2
    kmovq 24(%rcx), %k3
    kmovq 32(%rcx), %k4
    kmovq 40(%rcx), %k5
    kmovq 48(%rcx), %k6
    kmovq 56(%rcx), %k7
3:  ret
4:  mov $-1, %eax
    mov $-1, %edx
    xrstor64 (%rdi)
    test %r9, %r9
    jz 3b
    testb $0x80, 512(%rdi)
    jz 3b
    load_high %r9
    ret

    .section .note.GNU-stack,"",@progbits
