// Addresses and networks: one that is read comes back as text that is read as the same.
#include "nutils/ip_network.h"
#include "nutils/sock_addr.h"
#include "test/fuzz/fuzz.h"

void fuzz::fuzz_one(std::string_view input) {
    using namespace nutils;
    if (const auto address = SockAddr::parse(input)) {
        const auto again = SockAddr::parse(address->to_string());
        must(again.ok() && *again == *address, "an address is read again as the same");
        must(SockAddr::from_sockaddr(address->data(), address->size()) == *address,
             "as the kernel would give it");
    }
    if (const auto network = IpNetwork::parse(input)) {
        const auto again = IpNetwork::parse(network->to_string());
        must(again.ok() && *again == *network, "a network is read again as the same");
        must(network->contains(network->address()), "it has its own address");
    }
    if (const auto list = IpNetworkList::parse(input)) (void)list->contains(IpAddress::loopback());
}
