// The short way through the grammar: request heads of the plainest shape, which nearly all are.
#pragma once

#include <cstddef>
#include <string_view>

#include "cutils/export.h"
#include "webby/limits.h"
#include "webby/request_head.h"

namespace webby {

// Reads the head at the front of text[0, size) if it is complete, a GET or HEAD in HTTP/1.1 with a path that
// needs no decoding, exactly one good Host, and without any field that has to do with framing, expectations
// or unusual connection options. Everything else, malformed heads among it, is not judged here: Http1Parser
// gives it to Beast.
//
// What is accepted is accepted by the long way too, with the same result; a test compares the two.
//
// Before: head is clear.
// After:  the place behind the head, with `head` filled as Http1Parser fills it; or 0, and `head` has to be
//         cleared.
// Cost:   about 7 instructions a byte, 1 in the values of fields. No allocation once `head` has seen a few
//         requests.
[[nodiscard]] EVC_API std::size_t scan_plain_head(RequestHead& head, const char* text, std::size_t size,
                                                  const Limits& limits);

}  // namespace webby
