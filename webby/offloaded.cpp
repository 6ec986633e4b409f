#include "evcorothread/ev_thread.h"
#include "webby/application.h"
#include "webby/deferred_internal.h"
#include "webby/offloaded_internal.h"

namespace webby {

using cutils::Deadline;
using evcorothread::OffloadPool;

namespace {

// The coroutine waits to the end, canceled or not: the servlet uses its request and response.
class OffloadedFromCoroutine final : public Servlet {
  public:
    OffloadedFromCoroutine(std::unique_ptr<Servlet> servlet, OffloadPool& pool)
        : servlet_(std::move(servlet)), pool_(pool) {}

    void serve(Request& request, Response& response) override {
        const evcorothread::CancelShield shield(Deadline::never);
        const cutils::Result<void> done = evcorothread::offload(
            pool_, [&] { servlet_->serve(request, response); }, Deadline::never);
        if (!done) response.error(Status::service_unavailable);
    }

  private:
    const std::unique_ptr<Servlet> servlet_;
    OffloadPool& pool_;
};

// Nobody waits. The connection keeps the request until the response is complete.
class OffloadedFromLoop final : public Servlet {
  public:
    OffloadedFromLoop(std::unique_ptr<Servlet> servlet, OffloadPool& pool, const Application& application)
        : servlet_(std::move(servlet)), pool_(pool), application_(application) {}

    void serve(Request& request, Response& response) override {
        const Deferred answer = response.defer();
        response.deferred()->pin();
        const std::error_code error =
            pool_.post([this, &request, answer]() mutable { run(request, std::move(answer)); });
        if (!error) return;
        Deferred refusal = answer;
        refusal.response().error(Status::service_unavailable);
        refusal.complete();
    }

  private:
    void run(Request& request, Deferred answer) {
        (void)application_.serve_with(*servlet_, request, answer.response());
        answer.complete();
    }

    const std::unique_ptr<Servlet> servlet_;
    OffloadPool& pool_;
    const Application& application_;
};

}  // namespace

std::unique_ptr<Servlet> make_offloaded(std::unique_ptr<Servlet> servlet, OffloadPool& pool,
                                        Paradigm paradigm, const Application& application) {
    switch (paradigm) {
        case Paradigm::thread: break;  // has threads of its own
        case Paradigm::coroutine: return std::make_unique<OffloadedFromCoroutine>(std::move(servlet), pool);
        case Paradigm::event:
            return std::make_unique<OffloadedFromLoop>(std::move(servlet), pool, application);
    }
    return servlet;
}

}  // namespace webby
