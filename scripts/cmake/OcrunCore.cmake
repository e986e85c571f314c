# OcrunCore.cmake - flags of "the core": the code that runs in the guest's address space between a trap and its return.
#
# It must not touch vector registers (the guest's are live), %fs (it is the guest's), or libc (whose TLS is not loaded).
# scripts/check-core proves it on the built objects.
set(OCRUN_CORE_FLAGS -mgeneral-regs-only -fno-stack-protector -fno-exceptions -fno-rtti -fno-threadsafe-statics
    -fno-asynchronous-unwind-tables -ffreestanding -fomit-frame-pointer -fcf-protection=none -fno-pie -mfsgsbase)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # Would turn the bodies of memcpy and memset into calls of themselves.
    list(APPEND OCRUN_CORE_FLAGS -fno-tree-loop-distribute-patterns)
endif()

add_library(ocrun_warnings INTERFACE)
target_compile_options(ocrun_warnings INTERFACE -Wall -Wextra -Wno-missing-field-initializers)

# oc_core_library(NAME sources...): an object library with the core's flags, alias ocrun::NAME
function(oc_core_library name)
    add_library(ocrun_${name} OBJECT ${ARGN})
    add_library(ocrun::${name} ALIAS ocrun_${name})
    target_include_directories(ocrun_${name} PUBLIC ${CMAKE_SOURCE_DIR})
    target_compile_options(ocrun_${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:${OCRUN_CORE_FLAGS}>)
    target_link_libraries(ocrun_${name} PRIVATE ocrun_warnings)
endfunction()

# oc_library(NAME sources...): a hosted library of the launcher, alias ocrun::NAME
function(oc_library name)
    add_library(ocrun_${name} STATIC ${ARGN})
    add_library(ocrun::${name} ALIAS ocrun_${name})
    target_include_directories(ocrun_${name} PUBLIC ${CMAKE_SOURCE_DIR})
    target_compile_options(ocrun_${name} PRIVATE -fno-pie)
    target_link_libraries(ocrun_${name} PRIVATE ocrun_warnings)
endfunction()
