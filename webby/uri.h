// What stands in a request target: splitting it, percent-encoding, and the one place where a path is made
// safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cutils/export.h"

namespace webby {

// The parts of a request target (RFC 9112 §3.2) of the forms a server is asked with.
//
//   /a%20b?c=d           origin-form     path "/a%20b", query "c=d"
//   http://host/a?b      absolute-form   authority "host" beside the same
//   *                    asterisk-form   path "*"; OPTIONS only
//
// Lifetime: views into the target.
struct TargetParts {
    std::string_view authority;  // empty in origin-form
    std::string_view path;       // raw: still percent-encoded; empty in "http://host", which means "/"
    std::string_view query;      // raw, without the "?"
};

// Nothing when the target is of none of the three forms (authority-form, for CONNECT, among them), carries a
// fragment, or names a scheme other than http and https.
EVC_API std::optional<TargetParts> split_target(std::string_view target);

// True when normalize_path() would give back `path` as it is: then there is nothing to store.
EVC_API bool is_plain_path(std::string_view path);

// Percent-decodes a raw path *first*, then takes "." and ".." segments and doubled slashes out of it, so that
// no spelling of ".." survives ("%2e%2e", "..%2f").
//
// Before: path begins with "/".
// After:  out begins with "/", has no NUL, no "//", no "." or ".." segment.
// Errors: false for a broken escape, a NUL, or a path that climbs above its root: the request deserves a 400.
EVC_API bool normalize_path(std::string_view path, std::string& out);

// Decodes %XX; with plus_is_space also "+", as forms do. A broken escape stays as it stands.
EVC_API std::string percent_decode(std::string_view text, bool plus_is_space = false);

// Encodes what may not stand in the path of a URI, so that the result is safe in a Location field. "/" stays.
EVC_API std::string percent_encode_path(std::string_view path);

// Whether `host` can be the value of a Host field: a name, an IPv4 address or an [IPv6] one, then perhaps
// ":port". An empty one cannot: an http URI always has a host.
EVC_API bool is_valid_host(std::string_view host);

}  // namespace webby
