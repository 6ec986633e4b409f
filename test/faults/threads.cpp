// Other OS threads: jobs, and a loop on each of several.
#include "evcorothread/bundle.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/loop_group.h"
#include "evcorothread/offload.h"
#include "nutils/blocking_socket.h"
#include "test/faults/scenario.h"

namespace faults {
namespace {

using namespace evcorothread;
using nutils::SockAddr;

void have_jobs_done(EvLoop& loop) {
    OffloadPool helpers({.threads = 2});
    Bundle bundle(loop);
    for (int i = 0; i < 6; ++i)
        bundle.go("asker", [&, i] {
            const auto squared = offload(
                helpers, [i] { return i * i; }, kPatience);
            if (good("a job", squared) && *squared != i * i) wrong("a job gave something else");
        });
    if (auto all = bundle.wait(kPatience); !all) failed("jobs", all.error().code(), all.error().message());
}

void serve_on_all_loops() {
    LoopGroup group({.loops = 2, .stacks = {.count = 10}, .pin = true});
    if (!good("a loop group", group.start())) return;
    auto listener = group.listen(SockAddr::loopback(0), [](EvSocket socket) { echo(socket); });
    if (good("the group's listen", listener)) {
        for (int i = 0; i < 4; ++i) {
            auto client = nutils::BlockingSocket::connect(listener->local_address(), kPatience);
            if (good("connect to the group", client)) converse("echo of the group", *client);
        }
        listener->close();
    }
    if (!group.shutdown(kPatience)) wrong("the group's connections do not end");
}

}  // namespace

void threads(const Life&) {
    in_loop(have_jobs_done);
    serve_on_all_loops();
}

}  // namespace faults
