// multipart/form-data: the same parts, however the body is cut; nothing in them that was not in it.
#include <string>

#include "test/fuzz/fuzz.h"
#include "webby/multipart.h"

namespace {

using namespace webby;
using Step = MultipartParser::Step;

std::string parsed(std::string_view body, std::string_view boundary, std::uint8_t seed,
                   const MultipartLimits& limits) {
    MultipartParser parser(boundary, limits);
    fuzz::Pieces pieces(body, seed);
    std::string_view input;
    std::string all;
    std::size_t bytes = 0;
    while (true) {
        switch (parser.next(input)) {
            case Step::need_more:
                fuzz::must(input.empty(), "all input is eaten before more is needed");
                if (pieces.empty()) return parser.finish() ? all : "truncated";
                input = pieces.next();
                break;
            case Step::part:
                all.append("[").append(parser.part().name).append("|");
                all.append(parser.part().filename.value_or("none")).append("]");
                fuzz::must(parser.part().headers.size() <= limits.header_count, "headers are limited");
                break;
            case Step::data:
                fuzz::must(!parser.data().empty(), "data is not empty");
                all += parser.data();
                bytes += parser.data().size();
                fuzz::must(bytes <= body.size(), "no more data than body");
                break;
            case Step::part_end: all += "."; break;
            case Step::end: all += "end"; break;
            case Step::refused: return "refused";
        }
    }
}

}  // namespace

void fuzz::fuzz_one(std::string_view input) {
    const std::uint8_t seed = take_seed(input);
    if (const auto boundary = multipart_boundary("multipart/form-data" + std::string(input.substr(0, 100))))
        must(!boundary->empty() && boundary->size() <= 70, "a boundary has 1 to 70 characters");
    MultipartLimits limits;
    if (seed & 1) limits = {.parts = 2, .header_bytes = 100, .header_count = 2, .part = 20, .total = 1000};
    const std::string_view boundary = seed & 2 ? "b" : "--a-";
    const std::string whole = parsed(input, boundary, 0, limits);
    const std::string cut = parsed(input, boundary, seed | 1, limits);
    must(whole == cut || whole == "truncated" || cut == "truncated", "the same parts, however they are cut");
    must((whole == "refused") == (cut == "refused"), "refused or not, however it is cut");
}
