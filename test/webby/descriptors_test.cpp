// A server that may open few descriptors.
#include <sys/resource.h>

#include <vector>

#include "test/webby/started_server.h"
#include "test/webby/temp_folder.h"
#include "webby/process_figures_internal.h"

#include "test/support/harness.h"

using namespace webby_test;

namespace {

// As many more as are open now, while it lives.
class FewDescriptors {
  public:
    explicit FewDescriptors(std::size_t more) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        rlimit few = before_;
        few.rlim_cur = ::webby::Descriptors::now().open + more;
        ::setrlimit(RLIMIT_NOFILE, &few);
    }
    FewDescriptors(const FewDescriptors&) = delete;
    FewDescriptors& operator=(const FewDescriptors&) = delete;
    ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

  private:
    rlimit before_{};
};

}  // namespace

TEST_GROUP_BASE(Descriptors, StartedServerFixture){};

TEST(Descriptors, AreNotAllTakenByConnections) {
    TempFolder folder;
    folder.write("file", "content");
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).files("/", folder.path());
        {
            const FewDescriptors few(50);
            server->start().value();
        }
        std::vector<BlockingSocket> clients;
        for (int i = 0; i < 30; ++i) clients.push_back(client());
        CHECK(soon([&] { return server->counts().connections >= 15; }));
        CHECK(server->counts().connections <= 25);
        for (BlockingSocket& one : clients) CHECK(one.send_all(get("/file"), 20s));
        for (BlockingSocket& one : clients) CHECK_EQUAL("content", body_of(hear_all(one)));
        STRCMP_CONTAINS("connections at most", log->text().c_str());
    }
}
