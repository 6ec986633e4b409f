// LookupStub: what a Resolver asks in tests, instead of the system: answers, failures, and a gate before
// them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "evcorothread/resolver.h"

namespace test_support {

// Knows no name until told. Any thread.
class LookupStub {
  public:
    using Addresses = evcorothread::Resolver::Addresses;

    evcorothread::Resolver::Lookup function() {
        return [this](const std::string& host, const std::string& service) { return answer(host, service); };
    }

    // Addresses without a port, as IpAddress reads them.
    void knows(const std::string& host, const std::vector<std::string>& texts) {
        Addresses addresses;
        for (const std::string& text : texts)
            addresses.push_back(nutils::SockAddr::from(nutils::IpAddress::parse(text).value(), 0));
        const std::lock_guard lock(mutex_);
        names_[host] = addresses;
    }
    void fails(const std::error_code& code) {
        const std::lock_guard lock(mutex_);
        failure_ = code;
    }
    void throws(const std::string& what) {
        const std::lock_guard lock(mutex_);
        exception_ = what;
    }

    // From now on lookups begin, and do not end until opened.
    void shut() {
        const std::lock_guard lock(mutex_);
        shut_ = true;
    }
    void open() {
        const std::lock_guard lock(mutex_);
        shut_ = false;
        changed_.notify_all();
    }

    [[nodiscard]] int asked() const { return asked_.load(); }
    [[nodiscard]] std::string last() {
        const std::lock_guard lock(mutex_);
        return last_;
    }

  private:
    cutils::Result<Addresses> answer(const std::string& host, const std::string& service) {
        std::unique_lock lock(mutex_);
        last_ = host + "/" + service;
        ++asked_;
        changed_.wait(lock, [this] { return !shut_; });
        if (!exception_.empty()) throw std::runtime_error(exception_);
        if (failure_) return nutils::lookup_error(failure_, host, service);
        const auto found = names_.find(host);
        if (found == names_.end()) return nutils::lookup_error(nutils::NameError::not_found, host, service);
        return found->second;
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, Addresses> names_;
    std::error_code failure_;
    std::string exception_;
    std::string last_;
    bool shut_ = false;
    std::atomic<int> asked_{0};
};

}  // namespace test_support
