// RequestIdFilter: gives every request a name that its log lines and its response share.
#pragma once

#include "cutils/export.h"
#include "webby/filter.h"

namespace webby {

struct RequestIdOptions {
    // Take over the id in the request, if it is 1 to 128 letters, digits or ".", "_", "-", "~". Only where a
    // proxy of yours sets it: otherwise a client chooses what stands in your logs.
    bool trust_incoming = false;
};

// Sets Request::id(), for servlets and logs, and the X-Request-Id of the response. An id of ours is 32
// hexadecimal digits from the kernel's randomness.
//
// Add it first, so that all other filters see the id, and every answer has it. Cost: one getrandom(2).
class EVC_API RequestIdFilter final : public Filter {
  public:
    explicit RequestIdFilter(RequestIdOptions options = {}) : options_(options) {}

    [[nodiscard]] bool on_request(Request& request, Response& response) override;
    void on_response(const Request& request, Response& response) override;

  private:
    RequestIdOptions options_;
};

}  // namespace webby
