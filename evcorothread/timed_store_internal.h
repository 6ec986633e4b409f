// TimedStore: values that are remembered for a while, so many at most. Internal.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "cutils/clock.h"

namespace evcorothread {

// When it is full, the value used least recently goes first. Not thread-safe.
template <class Value>
class TimedStore {
  public:
    explicit TimedStore(std::size_t max) : max_(max) {}

    // Null when it is not there, or no longer. Lifetime: until the next put() or clear().
    const Value* find(std::string_view key, cutils::TimePoint now) {
        const auto found = index_.find(key);
        if (found == index_.end()) return nullptr;
        if (found->second->until <= now) {
            drop(found);
            return nullptr;
        }
        entries_.splice(entries_.begin(), entries_, found->second);
        return &entries_.front().value;
    }

    // After std::bad_alloc the value is not there.
    void put(std::string_view key, Value value, cutils::TimePoint until) {
        if (const auto old = index_.find(key); old != index_.end()) drop(old);
        if (max_ == 0) return;
        std::list<Entry> one;
        one.push_front({std::string(key), std::move(value), until});
        index_.emplace(one.front().key, one.begin());
        entries_.splice(entries_.begin(), one);
        while (entries_.size() > max_) drop(index_.find(entries_.back().key));
    }

    void clear() {
        index_.clear();
        entries_.clear();
    }
    [[nodiscard]] std::size_t size() const { return entries_.size(); }

  private:
    struct Entry {
        std::string key;
        Value value;
        cutils::TimePoint until;
    };
    // The keys are those of the entries, which stay where they are.
    using Index = std::map<std::string_view, typename std::list<Entry>::iterator>;

    void drop(typename Index::iterator found) {
        const auto entry = found->second;
        index_.erase(found);
        entries_.erase(entry);
    }

    std::size_t max_;
    std::list<Entry> entries_;  // the most recently used first
    Index index_;
};

// ASCII letters only, and not by tolower(3), which depends on the locale.
inline std::string lower_case(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

}  // namespace evcorothread
