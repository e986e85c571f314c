// handoff_test.cc - what one image tells the next arrives whole
#include "runtime/host/handoff.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace ocrun {
namespace {

Handoff every_field_differs() {
    Handoff h{};
    h.signal_mask = 0xfffffffffffffffe;
    h.ignored_signals = 0x8000000000000001;
    h.cpu = {2440, 0x2a2, 1088, 1152, 2432, 1, 2};
    h.policy_fd = 4095;
    h.target_fd = 4082;
    h.filter_fd = -1;
    h.base = 4000;
    h.forked_by = {4194303, 4194304};
    h.nested = true;
    h.host_no_new_privs = false;
    strcpy(h.comm, "name, with so,");
    h.exec_path = "/dev/fd/3";
    return h;
}

std::string written(const Handoff& h) {
    TextBuffer<4096> text;
    handoff_write(h, &text);
    return text.c_str();
}

TEST(Handoff, EveryFieldArrives) {
    const Handoff sent = every_field_differs();
    std::string text = written(sent);
    Handoff got;
    ASSERT_TRUE(handoff_read(text.c_str(), &got)) << text;
    EXPECT_EQ(got.signal_mask, sent.signal_mask);
    EXPECT_EQ(got.ignored_signals, sent.ignored_signals);
    EXPECT_EQ(got.cpu.xsave_bytes, sent.cpu.xsave_bytes);
    EXPECT_EQ(got.cpu.plain, sent.cpu.plain);
    EXPECT_EQ(got.cpu.masks, sent.cpu.masks);
    EXPECT_EQ(got.cpu.high, sent.cpu.high);
    EXPECT_EQ(got.cpu.keys, sent.cpu.keys);
    EXPECT_EQ(got.cpu.spoilt_returns, sent.cpu.spoilt_returns);
    EXPECT_EQ(got.cpu.even_ticks, sent.cpu.even_ticks);
    EXPECT_EQ(got.policy_fd, sent.policy_fd);
    EXPECT_EQ(got.target_fd, sent.target_fd);
    EXPECT_EQ(got.filter_fd, sent.filter_fd);
    EXPECT_EQ(got.base, sent.base);
    EXPECT_EQ(got.forked_by.pid, sent.forked_by.pid);
    EXPECT_EQ(got.forked_by.thread, sent.forked_by.thread);
    EXPECT_EQ(got.nested, sent.nested);
    EXPECT_EQ(got.host_no_new_privs, sent.host_no_new_privs);
    EXPECT_STREQ(got.comm, sent.comm);
    EXPECT_STREQ(got.exec_path, sent.exec_path);
}

TEST(Handoff, FitsTheRoomKeptForIt) {
    Handoff h = every_field_differs();
    h.signal_mask = h.ignored_signals = ~0ul;
    h.cpu = {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u};
    h.forked_by = {~0u, ~0u};
    h.policy_fd = h.target_fd = h.base = 1 << 30;
    h.filter_fd = 1 << 30;
    strcpy(h.comm, "fifteen letters");
    h.exec_path = "";
    EXPECT_LT(written(h).size(), kHandoffFixedBytes);
}

TEST(Handoff, RefusesWhatIsNotOne) {
    const std::string whole = written(every_field_differs());
    Handoff got;
    EXPECT_FALSE(handoff_read("PATH=/bin", &got));
    EXPECT_FALSE(handoff_read(kHandoffPrefix, &got));
    const size_t numbers_end = whole.find("name, with so,");
    for (size_t n = 0; n < numbers_end; n++) EXPECT_FALSE(handoff_read(whole.substr(0, n).c_str(), &got)) << n;
    EXPECT_FALSE(handoff_read(whole.substr(0, numbers_end + 5).c_str(), &got));
}

}  // namespace
}  // namespace ocrun
