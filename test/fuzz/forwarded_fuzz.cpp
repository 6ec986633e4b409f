// Forwarded and X-Forwarded-For: whatever a client sends, what a trusted proxy appends is what counts.
#include <string>

#include "test/fuzz/fuzz.h"
#include "webby/forwarded.h"

namespace {

using namespace webby;
using nutils::SockAddr;

ForwardedClient client_of(std::string_view name, std::string_view value, ForwardedBy by) {
    const std::string text = std::string(name) + std::string(value);
    const std::string_view all = text;
    Headers headers;
    headers.set_text(all.data());
    headers.add(all.substr(0, name.size()), all.substr(name.size()));
    ForwardedTrust trust{.networks = nutils::IpNetworkList::parse("10.0.0.0/8").value()};
    trust.by = by;
    return forwarded_client(headers, SockAddr::parse("10.0.0.1:1").value(), trust);
}

}  // namespace

void fuzz::fuzz_one(std::string_view input) {
    const std::string evil(input);
    for (const char* appended :
         {"for=192.0.2.7;proto=https", "for=\"192.0.2.7\" ; proto=\"https\", for=10.0.0.9"}) {
        const ForwardedClient client = client_of("Forwarded", evil + ", " + appended, ForwardedBy::forwarded);
        must(client.forwarded && client.address.ip().to_string() == "192.0.2.7", "the proxy's word counts");
        must(client.proto == "https", "its proto counts");
    }
    must(client_of("X-Forwarded-For", evil + ", 192.0.2.7, 10.0.0.9", ForwardedBy::x_forwarded)
                 .address.ip()
                 .to_string() == "192.0.2.7",
         "the proxy's word counts");
    (void)client_of("Forwarded", input, ForwardedBy::forwarded);
    (void)client_of("X-Forwarded-For", input, ForwardedBy::x_forwarded);
    if (const SockAddr address = parse_forwarded_node(input); !address.is_none())
        must(address.is_ip() && address.ip().scope() == 0, "an address without a scope");
}
