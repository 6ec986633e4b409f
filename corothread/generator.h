// Generator: a sequence written as a function that yields, read with a range-for.
#pragma once

#include <cstddef>
#include <iterator>
#include <utility>

#include "corothread/coroutine.h"

namespace corothread {

// Usage:
//
//   Generator<long> squares(pool, [](auto& yield) { for (long i = 0;; ++i) yield(i * i); });
//   for (long n : squares) if (n > 100) break;
//
// The body may yield from any depth of calls (a recursive walk of a tree needs no stack of its own). It
// starts at begin(). Breaking out of the loop leaves it suspended; a second begin() goes on where the first
// stopped. Destroying the generator kills it (see CoroutineBase::kill).
//
// Owner, thread, errors, cost: as Coroutine. An exception in the body comes out of begin() or ++.
template <class T>
class Generator {
  public:
    using Yield = typename Coroutine<T>::Yield;

    template <class F>
    requires(!std::same_as<std::remove_cvref_t<F>, Generator>) Generator(StackPool& pool, F&& body)
        : coroutine_(pool, std::forward<F>(body)) {}

    // The next value, or nothing at the end. What the range-for uses; usable alone.
    [[nodiscard]] std::optional<T> next() {
        if (coroutine_.finished()) return std::nullopt;
        return coroutine_.resume();
    }

    // Input iterator: single pass; the value is owned by the iterator.
    class iterator {
      public:
        using iterator_concept = std::input_iterator_tag;
        using value_type = T;
        using difference_type = std::ptrdiff_t;

        iterator() = default;
        explicit iterator(Generator& generator) : generator_(&generator), value_(generator.next()) {}
        T& operator*() const { return *value_; }
        iterator& operator++() {
            value_ = generator_->next();
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator& it, std::default_sentinel_t) { return !it.value_.has_value(); }

      private:
        Generator* generator_ = nullptr;
        mutable std::optional<T> value_;
    };
    [[nodiscard]] iterator begin() { return iterator(*this); }
    [[nodiscard]] std::default_sentinel_t end() const { return {}; }

  private:
    Coroutine<T> coroutine_;
};

}  // namespace corothread
