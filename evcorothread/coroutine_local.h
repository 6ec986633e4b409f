// CoroutineLocal: a value of its own for every coroutine thread, as thread_local is for OS threads.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "cutils/export.h"

namespace evcorothread {

// One value: links, and how to destroy it. The value itself follows.
struct LocalValue {
    LocalValue* older = nullptr;  // in the order of making
    LocalValue* newer = nullptr;
    LocalValue* next_in_slot = nullptr;
    std::uint64_t key = 0;
    void (*destroy)(LocalValue& self) noexcept = nullptr;
};

// What a CoroutineLocal is without its type.
class EVC_API CoroutineLocalKey {
  public:
    CoroutineLocalKey(const CoroutineLocalKey&) = delete;
    CoroutineLocalKey& operator=(const CoroutineLocalKey&) = delete;

  protected:
    CoroutineLocalKey();
    ~CoroutineLocalKey() = default;
    // The current coroutine's value, or null.
    [[nodiscard]] LocalValue* find() const;
    // Makes it the current coroutine's. Errors: std::bad_alloc, and it is not.
    void add(LocalValue& value) const;
    // Takes the current coroutine's value away from it; null when it has none.
    LocalValue* take() const;

  private:
    std::uint64_t key_;  // never used twice: values may outlive their CoroutineLocal
};

// Usage:
//
//   const CoroutineLocal<std::string> request_id([] { return make_id(); });
//
//   *request_id = "42";                  // this coroutine's own, whoever else uses it
//   log("request %s", request_id->c_str());
//
// Made:      at a coroutine's first use, by that coroutine: value-initialized, or a copy of the initial
//            value, or what the factory returns. Coroutines that do not use it pay nothing.
// Destroyed: when the coroutine's function has returned (or thrown) and what it captured is gone, newest
//            first, on the coroutine's own stack, before join() learns of the end. So destructors may use
//            other CoroutineLocals, and may wait; what they throw ends the process.
// Owner:     whoever holds it, usually a static or a member of a server. It may go before the coroutines
//            that have values of it: these live on until their coroutine ends.
// Thread:    any; coroutines of all loops may share one. So the factory may be called on any loop's thread.
// Cost:      a table lookup a use (a fraction of a switch). An allocation for each value, and one for the
//            table of a coroutine that has any.
template <class T>
class CoroutineLocal : private CoroutineLocalKey {
    static_assert(std::is_object_v<T> && !std::is_array_v<T> && !std::is_const_v<T>);

  public:
    CoroutineLocal() requires std::default_initializable<T> : make_([] { return T(); }) {}
    explicit CoroutineLocal(T initial) requires std::copy_constructible<T>
        : make_([initial = std::move(initial)] { return initial; }) {}
    template <class Factory>
    requires std::same_as<std::invoke_result_t<Factory&>, T>
    explicit CoroutineLocal(Factory factory) : make_(std::move(factory)) {}

    // This coroutine's value.
    // Before: called in a coroutine thread.
    // Errors: at the first use std::bad_alloc, and what the constructor or factory throws: there is none
    //         then.
    T& get() const {
        if (LocalValue* const found = find()) return static_cast<Value*>(found)->value;
        auto made = std::make_unique<Value>(make_);
        add(*made);
        return made.release()->value;
    }
    [[nodiscard]] T& operator*() const { return get(); }
    [[nodiscard]] T* operator->() const { return &get(); }

    // This coroutine's value if it has been made, else null.
    [[nodiscard]] T* get_if() const {
        LocalValue* const found = find();
        return found != nullptr ? &static_cast<Value*>(found)->value : nullptr;
    }
    // Destroys this coroutine's value now, if there is one; the next use makes another.
    void reset() const {
        if (LocalValue* const mine = take()) mine->destroy(*mine);
    }

  private:
    struct Value final : LocalValue {
        explicit Value(const std::function<T()>& make) : value(make()) {
            destroy = [](LocalValue& self) noexcept { delete static_cast<Value*>(&self); };
        }
        T value;
    };
    std::function<T()> make_;
};

}  // namespace evcorothread
