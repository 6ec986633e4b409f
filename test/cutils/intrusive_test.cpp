#include "cutils/intrusive.h"

#include <string>

#include "test/support/death.h"
#include "test/support/harness.h"

using cutils::List;
using cutils::ListHook;
using test_support::abort_message;

namespace {

struct ByAge;
struct Item : ListHook<>, ListHook<ByAge> {
    explicit Item(char n) : name(n) {}
    char name;
};
using Items = List<Item>;
using ItemsByAge = List<Item, ByAge>;

template <class L>
std::string names_of(L& list) {
    std::string names;
    list.for_each([&](Item& item) { names += item.name; });
    return names;
}
template <class L>
void empty_out(L& list) {
    while (!list.empty()) list.pop_front();
}

}  // namespace

TEST_GROUP(List) {
    Item a{'a'}, b{'b'}, c{'c'};
    Items list;
    ItemsByAge by_age;
    void teardown() override {
        empty_out(list);
        empty_out(by_age);
    }
};

TEST(List, IsEmptyAtFirst) { CHECK(list.empty()); }

TEST(List, KeepsTheOrder) {
    list.push_back(b);
    list.push_back(c);
    list.push_front(a);
    CHECK_EQUAL("abc", names_of(list));
    POINTERS_EQUAL(&a, &list.front());
    POINTERS_EQUAL(&c, &list.back());
}

TEST(List, PopFrontTakesTheFirst) {
    list.push_back(a);
    list.push_back(b);
    POINTERS_EQUAL(&a, &list.pop_front());
    CHECK(!static_cast<ListHook<>&>(a).linked());
    CHECK_EQUAL("b", names_of(list));
}

TEST(List, AnElementLeavesFromTheMiddle) {
    list.push_back(a);
    list.push_back(b);
    list.push_back(c);
    static_cast<ListHook<>&>(b).unlink();
    CHECK_EQUAL("ac", names_of(list));
    static_cast<ListHook<>&>(a).unlink();
    static_cast<ListHook<>&>(c).unlink();
    CHECK(list.empty());
}

TEST(List, LeavingTwiceIsHarmless) {
    list.push_back(a);
    static_cast<ListHook<>&>(a).unlink();
    static_cast<ListHook<>&>(a).unlink();
    CHECK(list.empty());
}

TEST(List, AnElementCanBeInTwoKindsOfList) {
    list.push_back(a);
    list.push_back(b);
    by_age.push_back(b);
    by_age.push_back(a);
    CHECK_EQUAL("ab", names_of(list));
    CHECK_EQUAL("ba", names_of(by_age));
    static_cast<ListHook<ByAge>&>(a).unlink();
    CHECK_EQUAL("ab", names_of(list));
    CHECK_EQUAL("b", names_of(by_age));
}

TEST(List, TheElementVisitedMayLeave) {
    list.push_back(a);
    list.push_back(b);
    list.push_back(c);
    list.for_each([](Item& item) {
        if (item.name != 'b') static_cast<ListHook<>&>(item).unlink();
    });
    CHECK_EQUAL("b", names_of(list));
}

TEST(List, AddingAnElementTwiceAborts) {
    STRCMP_CONTAINS("while it is in one", abort_message([this] {
                                              list.push_back(a);
                                              list.push_back(a);
                                          }).c_str());
}

TEST(List, AnElementThatDiesInAListAborts) {
    STRCMP_CONTAINS("dies while it is still in a list", abort_message([this] {
                                                            Item dying('x');
                                                            list.push_back(dying);
                                                        }).c_str());
}

TEST(List, AListThatDiesWithElementsAborts) {
    STRCMP_CONTAINS("dies while it still has elements", abort_message([this] {
                                                            Items dying;
                                                            dying.push_back(a);
                                                        }).c_str());
}
