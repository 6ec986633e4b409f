#include "webby/router.h"

#include <string>
#include <vector>

#include "test/support/allocation_faults.h"
#include "test/support/harness.h"

using namespace webby;

TEST_GROUP_BASE(Router, test_support::Fixture) {
    Router router;
    RouteParams params;

    std::unique_ptr<Servlet> servlet() {
        return make_servlet([](Request&, Response&) {});
    }
    const Router::Endpoint* add(Method method, std::string_view pattern) {
        router.add(method, pattern, servlet()).value();
        std::string path(pattern);
        for (char& c : path)
            if (c == ':' || c == '*') c = 'x';
        return router.find(method, path, params).endpoint;
    }
    const Router::Endpoint* find(std::string_view path, Method method = Method::get) {
        return router.find(method, path, params).endpoint;
    }
    std::string value(std::string_view name) { return std::string(params.find(name)); }
};

TEST(Router, FixedPathsMatchExactly) {
    const auto* about = add(Method::get, "/about");
    CHECK(about != nullptr);
    CHECK(find("/about") == about);
    for (const char* path : {"/", "/about/", "/abou", "/about/x", "/About", "", "about", "*"})
        CHECK_TEXT(find(path) == nullptr, path);
}

TEST(Router, TheRootIsARoute) {
    const auto* root = add(Method::get, "/");
    CHECK(root != nullptr);
    CHECK(find("/") == root);
    CHECK(find("/x") == nullptr);
}

TEST(Router, ParametersTakeOneSegment) {
    const auto* user = add(Method::get, "/user/:id/post/:post");
    CHECK(find("/user/7/post/a b") == user);
    STRCMP_EQUAL("7", value("id").c_str());
    STRCMP_EQUAL("a b", value("post").c_str());
    STRCMP_EQUAL("", value("other").c_str());
    for (const char* path :
         {"/user//post/1", "/user/7/post/", "/user/7/post/1/", "/user/7/post", "/user/7/x/1"})
        CHECK_TEXT(find(path) == nullptr, path);
}

TEST(Router, TheRestTakesEverythingBelow) {
    const auto* files = add(Method::get, "/files/*path");
    CHECK(find("/files/a/b.txt") == files);
    STRCMP_EQUAL("a/b.txt", value("path").c_str());
    CHECK(find("/files/") == files);
    STRCMP_EQUAL("", value("path").c_str());
    CHECK(find("/files") == nullptr);
}

TEST(Router, FixedWinsOverParameterOverRest) {
    const auto* rest = add(Method::get, "/*all");
    const auto* param = add(Method::get, "/:name");
    const auto* fixed = add(Method::get, "/me");
    CHECK(find("/me") == fixed);
    CHECK(find("/you") == param);
    CHECK(find("/you/x") == rest);
    CHECK(find("/") == rest);
}

TEST(Router, WhatLeadsNowhereIsTriedAgain) {
    const auto* deep = add(Method::get, "/a/b/c");
    const auto* param = add(Method::get, "/a/:x/d");
    const auto* rest = add(Method::get, "/*all");
    CHECK(find("/a/b/c") == deep);
    CHECK(find("/a/b/d") == param);
    STRCMP_EQUAL("b", value("x").c_str());
    CHECK(find("/a/b/e") == rest);
    STRCMP_EQUAL("a/b/e", value("all").c_str());
}

TEST(Router, AMethodMayBeFoundOnAWorseFit) {
    const auto* get = add(Method::get, "/a");
    const auto* post = add(Method::post, "/:x");
    CHECK(find("/a") == get);
    CHECK(find("/a", Method::post) == post);
    STRCMP_EQUAL("a", value("x").c_str());
}

TEST(Router, OtherMethodsAreToldWhatIsAllowed) {
    add(Method::get, "/a");
    add(Method::put, "/:x");
    const Router::Match match = router.find(Method::post, "/a", params);
    CHECK(match.endpoint == nullptr);
    STRCMP_EQUAL("GET, HEAD, PUT, OPTIONS", allow_value(match.allowed).c_str());
    CHECK(router.find(Method::post, "/a/b", params).allowed.empty());
}

TEST(Router, HeadIsAnsweredByGet) {
    const auto* get = add(Method::get, "/a");
    CHECK(find("/a", Method::head) == get);
    const auto* head = add(Method::head, "/a");
    CHECK(find("/a", Method::head) == head);
    CHECK(head != get);
    add(Method::post, "/b");
    CHECK(find("/b", Method::head) == nullptr);
}

TEST(Router, BadPatternsAreRefused) {
    for (const char* pattern :
         {"", "a", "/a//b", "//", "/:", "/*", "/*a/b", "/:a/:a", "/./a", "/../a", "/a/..", "/:a/*a"})
        CHECK_TRUE_TEXT(router.add(Method::get, pattern, servlet()).error() == std::errc::invalid_argument,
                        pattern);
    std::string deep, many;
    for (int i = 0; i < 33; ++i) deep += "/a";
    for (int i = 0; i < 17; ++i) many += "/:a" + std::to_string(i);
    CHECK(router.add(Method::get, deep, servlet()).error() == std::errc::invalid_argument);
    CHECK(router.add(Method::get, many, servlet()).error() == std::errc::invalid_argument);
}

TEST(Router, TheSameRouteTwiceIsRefused) {
    add(Method::get, "/a/:x");
    CHECK(router.add(Method::get, "/a/:x", servlet()).error() == std::errc::file_exists);
    CHECK(router.add(Method::get, "/a/:y", servlet()).error() == std::errc::file_exists);
    CHECK(router.add(Method::post, "/a/:x", servlet()).ok());
}

TEST(Router, ManyRoutesAreAllFound) {
    for (int i = 0; i < 500; ++i) {
        router.add(Method::get, "/route/" + std::to_string(i), servlet()).value();
        router.add(Method::get, "/p" + std::to_string(i) + "/:x", servlet()).value();
    }
    for (int i = 0; i < 500; ++i) {
        CHECK(find("/route/" + std::to_string(i)) != nullptr);
        CHECK(find("/p" + std::to_string(i) + "/y") != nullptr);
    }
    CHECK(find("/route/500") == nullptr);
}

TEST(Router, ALongPathCostsNoMoreThanItsSegments) {
    add(Method::get, "/:a/:b/*rest");
    add(Method::get, "/:a/x/:c/y");
    std::string path;
    for (int i = 0; i < 100'000; ++i) path += "/x";
    CHECK(find(path) != nullptr);
    LONGS_EQUAL(path.size() - 5, params.find("rest").size());
}

TEST(Router, FindingAllocatesNothing) {
    add(Method::get, "/a/:x/*rest");
    test_support::AllocationFaults faults;
    faults.fail_all();
    const auto* found = find("/a/b/c/d/e");
    faults.stop();
    CHECK(found != nullptr);
    LONGS_EQUAL(0, faults.count());
}
