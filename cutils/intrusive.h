// Queues whose links live in the elements: no allocation, O(1) everything, an element is in one place at a
// time.
//
// Owner: nobody. An element must leave its queue before it dies. One thread.
#pragma once

#include "cutils/check.h"

namespace cutils {

// The link of a List: inherit from it (once for each kind of list an element can be in, told apart by Tag).
template <class Tag = void>
class ListHook {
  public:
    ListHook() = default;
    ListHook(const ListHook&) = delete;
    ListHook& operator=(const ListHook&) = delete;
    ~ListHook() { EVC_CHECK(!linked(), "an element dies while it is still in a list: remove it first"); }

    [[nodiscard]] bool linked() const { return next_ != nullptr; }
    // Leaves the list it is in, if any.
    void unlink() {
        if (next_ == nullptr) return;
        prev_->next_ = next_;
        next_->prev_ = prev_;
        next_ = prev_ = nullptr;
    }

  private:
    template <class, class>
    friend class List;
    ListHook* next_ = nullptr;
    ListHook* prev_ = nullptr;
};

// A doubly linked list of T, which inherits ListHook<Tag>.
template <class T, class Tag = void>
class List {
    using Hook = ListHook<Tag>;

  public:
    List() { root_.next_ = root_.prev_ = &root_; }
    List(const List&) = delete;
    List& operator=(const List&) = delete;
    ~List() {
        EVC_CHECK(empty(), "a list dies while it still has elements");
        root_.next_ = root_.prev_ = nullptr;
    }

    [[nodiscard]] bool empty() const { return root_.next_ == &root_; }
    [[nodiscard]] T& front() { return static_cast<T&>(*root_.next_); }
    [[nodiscard]] T& back() { return static_cast<T&>(*root_.prev_); }

    void push_back(T& element) { insert(static_cast<Hook&>(element), root_.prev_, &root_); }
    void push_front(T& element) { insert(static_cast<Hook&>(element), &root_, root_.next_); }
    T& pop_front() {
        T& element = front();
        static_cast<Hook&>(element).unlink();
        return element;
    }

    // The first element that fits, or null.
    template <class F>
    [[nodiscard]] T* find_if(F&& fits) {
        for (Hook* hook = root_.next_; hook != &root_; hook = hook->next_)
            if (T& element = static_cast<T&>(*hook); fits(element)) return &element;
        return nullptr;
    }

    // Walks the list; the element visited (and only it) may leave the list meanwhile.
    template <class F>
    void for_each(F&& visit) {
        for (Hook* hook = root_.next_; hook != &root_;) {
            Hook* const next = hook->next_;
            visit(static_cast<T&>(*hook));
            hook = next;
        }
    }

  private:
    static void insert(Hook& hook, Hook* before, Hook* after) {
        EVC_CHECK(!hook.linked(), "an element is added to a list while it is in one");
        hook.prev_ = before;
        hook.next_ = after;
        before->next_ = after->prev_ = &hook;
    }
    Hook root_;
};

}  // namespace cutils
