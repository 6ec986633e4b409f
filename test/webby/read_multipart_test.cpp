#include "webby/read_multipart.h"

#include <filesystem>
#include <iterator>
#include <string>
#include <string_view>

#include "test/support/allocation_faults.h"
#include "test/webby/engine_fixture.h"
#include "test/webby/multipart_body.h"
#include "test/webby/temp_folder.h"
#include "webby/body_status.h"

#include "test/support/harness.h"

using namespace webby;
using namespace webby_test;

TEST_GROUP_BASE(ReadMultipart, EngineFixture) {
    TempFolder folder;
    MultipartOptions options;

    void setup() override {
        EngineFixture::setup();
        const auto servlet = [this] {
            return make_servlet([this](Request& q, Response& r) {
                auto form = read_multipart(q, options, cutils::Deadline::never);
                if (!form) return r.error(body_status(form.error().code()), form.error().context());
                r.text(told(*form));
            });
        };
        app.add(Method::post, "/whole", servlet()).value();
        app.add(Method::post, "/parts", servlet(), {.stream_body = true}).value();
    }
    // The same in pieces of any size, all there when the servlet asks for them.
    std::string streamed(const std::string& input) {
        Conversation whole(app, limits);
        whole.say(input);
        for (std::size_t fragment = 1; fragment < input.size(); ++fragment) {
            Conversation pieces(app, limits);
            pieces.say(input, fragment);
            CHECK_EQUAL(whole.heard(), pieces.heard());
        }
        return whole.heard();
    }
    std::size_t files() {
        return static_cast<std::size_t>(
            std::distance(std::filesystem::directory_iterator(folder.path()), {}));
    }
};

TEST(ReadMultipart, BodiesAreReadWholeAndStreamed) {
    const std::string expected = ok("title=Hello|photo=\xff\xd8\r\n--\r\n|");
    CHECK_EQUAL(expected, answer(post("/whole", kBody)));
    CHECK_EQUAL(expected, streamed(post("/parts", kBody)));
}

TEST(ReadMultipart, FilesGoToAFolderAndAreGoneAfterwards) {
    options.folder = folder.path();
    CHECK_EQUAL(ok("title=Hello|photo:\xff\xd8\r\n--\r\n|"), streamed(post("/parts", kBody)));
    CHECK_EQUAL(0, files());
}

TEST(ReadMultipart, PartsGoWhereTheyAreSent) {
    std::string seen;
    options.choose = [](const MultipartPart& part) {
        return part.name == "title" ? PartTarget::skip : PartTarget::callback;
    };
    options.on_data = [&](const MultipartPart& part, std::string_view data) {
        seen += data.empty() ? part.name + "." : std::string(data);
        return cutils::Result<void>();
    };
    Conversation talk(app, limits);
    talk.say(post("/parts", kBody), 3);
    CHECK_EQUAL(ok("photo=|"), talk.heard());
    CHECK_EQUAL(std::string("\xff\xd8\r\n--\r\nphoto."), seen);
}

TEST(ReadMultipart, ACallbackMayStopIt) {
    options.choose = [](const MultipartPart&) { return PartTarget::callback; };
    options.on_data = [](const MultipartPart&, std::string_view) {
        return cutils::Result<void>(std::make_error_code(std::errc::no_space_on_device));
    };
    Conversation talk(app, limits);
    talk.say(post("/parts", kBody));
    CHECK_EQUAL("507", talk.status());
}

TEST(ReadMultipart, FailuresHaveTheirStatus) {
    const auto status = [&](std::string_view input) {
        Conversation talk(app, limits);
        talk.say(input);
        return talk.status();
    };
    CHECK_EQUAL("415", status(post("/parts", kBody, "text/plain")));
    CHECK_EQUAL("400", status(post("/parts", kBody, "multipart/form-data")));
    CHECK_EQUAL("400", status(post("/parts", "--b\r\nX\r\n")));
    CHECK_EQUAL("400", status(post("/whole", kBody.substr(0, 100))));
    options.limits.parts = 1;
    CHECK_EQUAL("413", status(post("/parts", kBody)));
    options.limits = {};
    options.memory = 11;
    CHECK_EQUAL("413", status(post("/parts", kBody)));
    options.memory = 13;
    CHECK_EQUAL("200", status(post("/parts", kBody)));
    options.folder = folder.path() + "/none";
    CHECK_EQUAL("500", status(post("/parts", kBody)));
}

TEST(ReadMultipart, AFailureLeavesNoFile) {
    options.folder = folder.path();
    options.limits.part = 7;
    Conversation talk(app, limits);
    talk.say(post("/parts", kBody));
    CHECK_EQUAL("413", talk.status());
    CHECK_EQUAL(0, files());
}

TEST(ReadMultipart, TheBodyLimitOfTheRouteHolds) {
    limits.body = 20;
    Conversation talk(app, limits);
    talk.say(post("/parts", kBody));
    CHECK_EQUAL("413", talk.status());
}

TEST(ReadMultipart, WithoutMemoryNothingIsLeft) {
    options.folder = folder.path();
    test_support::for_each_failing_allocation([&] {
        Conversation talk(app, limits);
        talk.say(post("/parts", kBody));
    });
    CHECK_EQUAL(0, files());
}

TEST(ReadMultipart, AnEmptyBodyIsTruncated) {
    Conversation talk(app, limits);
    talk.say(post("/parts", ""));
    CHECK_EQUAL("400", talk.status());
}
