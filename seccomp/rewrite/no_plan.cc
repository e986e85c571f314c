// no_plan.cc - what plan.cc is where the instruction decoder was missing at build time: nothing can be rewritten
#include "seccomp/rewrite/plan.h"

namespace ocrun {

SitePlan plan_site(const u8*, u32, u64 site, u64) {
    SitePlan plan{};
    plan.site = site;
    plan.refused = "ocrun was built without the instruction decoder";
    return plan;
}

}  // namespace ocrun
