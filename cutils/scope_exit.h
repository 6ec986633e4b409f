// ScopeExit: runs a function when the scope ends, however it ends.
//
//   ScopeExit restore([&] { state = before; });
//   restore.release();   // not any more
#pragma once

#include <utility>

namespace cutils {

template <class F>
class [[nodiscard]] ScopeExit {
  public:
    explicit ScopeExit(F function) : function_(std::move(function)) {}
    ScopeExit(const ScopeExit&) = delete;
    ScopeExit& operator=(const ScopeExit&) = delete;
    ~ScopeExit() {
        if (armed_) function_();
    }
    void release() { armed_ = false; }

  private:
    F function_;
    bool armed_ = true;
};

}  // namespace cutils
