// The PROXY header: the same however it is cut, and not a byte behind it is eaten.
#include <string>

#include "test/fuzz/fuzz.h"
#include "webby/proxy_protocol.h"

namespace {

using namespace webby;
using Step = ProxyHeaderParser::Step;

std::string parsed(std::string_view input, std::uint8_t seed) {
    ProxyHeaderParser parser(600);
    fuzz::Pieces pieces(input, seed);
    Step step = Step::need_more;
    std::string_view piece;
    std::size_t given = 0;
    while (step == Step::need_more && !pieces.empty()) {
        piece = pieces.next();
        given += piece.size();
        step = parser.eat(piece);
        fuzz::must(step != Step::need_more || piece.empty(), "all is eaten before more is needed");
    }
    if (step == Step::need_more) return "waits";
    if (step == Step::refused) return "refused";
    const ProxyHeader& header = parser.header();
    fuzz::must(!header.has_addresses || (!header.source.is_none() && !header.destination.is_none()),
               "addresses are addresses");
    return header.source.to_string() + " " + header.destination.to_string() + " " +
           std::to_string(header.version) + " " + std::to_string(given - piece.size());
}

}  // namespace

void fuzz::fuzz_one(std::string_view input) {
    const std::uint8_t seed = take_seed(input);
    const std::string whole = parsed(input, 0);
    must(whole == parsed(input, seed | 1), "the same header, however it is cut");
    if (whole != "waits")
        must(whole == parsed(std::string(input) + "x", 0), "what is behind does not matter");
}
