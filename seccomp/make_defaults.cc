// make_defaults.cc - a program of the build: writes the tables of defaults.h as C++
#include <stdio.h>
#include <string.h>

#include "config/parse.h"
#include "runtime/base/hidden_fds.h"
#include "seccomp/filter.h"

int main() {
    using namespace ocrun;
    const Policy& policy = default_policy();
    auto built = build_filter(policy, 1, 2, kUsualHiddenBase);
    if (auto* error = std::get_if<FilterError>(&built)) {
        fprintf(stderr, "make_defaults: %s\n", error->message.c_str());
        return 1;
    }
    printf("// default_tables.cc - written by seccomp/make_defaults.cc, do not edit\n#include \"seccomp/defaults.h\"\n\nnamespace ocrun {\n\n");
    printf("const u64 kBuiltInPolicyWords[sizeof(Policy) / 8] = {");
    for (size_t i = 0; i < sizeof policy / 8; i++) {
        u64 word;
        memcpy(&word, (const char*)&policy + i * 8, 8);
        printf("%s%#lx,", i % 16 ? "" : "\n", (unsigned long)word);
    }
    printf("\n};\n\nconst sock_filter kBuiltInFilter[] = {\n");
    auto& program = std::get<std::vector<sock_filter>>(built);
    for (const sock_filter& s : program) printf("{%#x,%u,%u,%#x},\n", s.code, s.jt, s.jf, s.k);
    printf("};\nconst u32 kBuiltInFilterLength = %zu;\n\n}  // namespace ocrun\n", program.size());
    return 0;
}
