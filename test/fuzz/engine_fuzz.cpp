// The engine: whatever comes, in whatever pieces, the same requests come out, and it ends.
#include <algorithm>
#include <string>
#include <utility>

#include "test/fuzz/fuzz.h"
#include "webby/http1_engine.h"

namespace {

using namespace webby;
using Step = Http1Engine::Step;

struct Transcript {
    std::string requests;  // those that were complete
    std::string refusal;
};

bool has_small_limits(std::uint8_t seed) { return seed % 2 == 0; }

class Talk {
  public:
    explicit Talk(std::uint8_t seed) : seed_(seed) {
        if (!has_small_limits(seed)) return;
        // Limits that short inputs reach.
        limits_.request_line = 64;
        limits_.head = 256;
        limits_.header_count = 5;
        limits_.chunk_line = 16;
        limits_.trailers = 32;
        limits_.body = 64;
        limits_.drain = 32;
    }

    Transcript run(std::string_view input, bool whole) {
        Http1Engine engine(limits_, head_);
        engine.reset();
        fuzz::Pieces pieces(input, whole ? 0 : seed_ | 1);
        for (std::size_t steps = 0;; ++steps) {
            fuzz::must(steps < 10 * input.size() + 100, "the engine makes progress");
            switch (engine.next()) {
                case Step::need_input:
                    if (engine.has_output()) engine.sent();
                    if (pieces.empty())
                        engine.end_of_input();
                    else
                        feed(engine, pieces);
                    break;
                case Step::head: describe_head(); break;
                case Step::source: fuzz::must(false, "no answer here has a source"); break;
                case Step::body: current_ += engine.piece(); break;
                case Step::end:
                    transcript_.requests += std::exchange(current_, {}) + "\n";
                    answer(engine, Status::ok);
                    break;
                case Step::refused:
                    transcript_.refusal = std::to_string(to_number(engine.refusal()));
                    fuzz::must(to_number(engine.refusal()) >= 400, "a refusal is an error");
                    answer(engine, engine.refusal());
                    break;
                case Step::close: return std::move(transcript_);
            }
        }
    }

  private:
    static void feed(Http1Engine& engine, fuzz::Pieces& pieces) {
        const std::span<char> space = engine.input_space();
        fuzz::must(!space.empty(), "there is space for input");
        const std::string_view piece = pieces.next(space.size());
        piece.copy(space.data(), piece.size());
        engine.received(piece.size());
    }
    void describe_head() {
        current_.assign(head_.view(head_.method_name)).append(" ");
        current_.append(head_.view(head_.target)).append(" ").append(head_.view(head_.authority));
        for (const auto field : head_.headers) current_.append("|").append(field.name).append(field.value);
        current_.append("|");
    }
    void answer(Http1Engine& engine, Status status) {
        Response response;
        response.status(status).text("x");
        engine.respond(response, dates_.header_line({}));
        if (engine.must_send()) engine.sent();
    }

    std::uint8_t seed_;
    Limits limits_;
    RequestHead head_;
    DateCache dates_;
    std::string current_;
    Transcript transcript_;
};

}  // namespace

void fuzz::fuzz_one(std::string_view input) {
    const std::uint8_t seed = take_seed(input);
    const Transcript whole = Talk(seed).run(input, true);
    const Transcript cut = Talk(seed).run(input, false);
    if (has_small_limits(seed)) {
        // What is malformed and too long besides may be refused for either, the one way earlier than the
        // other.
        must(whole.requests.starts_with(cut.requests) || cut.requests.starts_with(whole.requests),
             "no other requests, however they are cut");
        must(whole.refusal.empty() == cut.refusal.empty(), "refused or not, however it is cut");
        return;
    }
    must(whole.requests == cut.requests, "the same requests, however they are cut");
    // A hundred fields, one of them malformed, fit into what is tried here: the same then.
    const bool too_many = whole.refusal == "431" || cut.refusal == "431";
    if (too_many) return must(whole.refusal.empty() == cut.refusal.empty(), "refused, however it is cut");
    must(whole.refusal == cut.refusal, "the same refusal, however it is cut");
}
