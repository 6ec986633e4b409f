#include "webby/program/elf_file.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>

#include <cstdint>
#include <cstring>

#include "nutils/socket_ops.h"
#include "nutils/unique_fd.h"

namespace webby::program {
namespace {

template <class Header>
bool read_header(int fd, std::uint64_t offset, Header& header) {
    return nutils::read_at(fd, {reinterpret_cast<char*>(&header), sizeof header}, static_cast<off_t>(offset))
               .bytes == sizeof header;
}

bool fits(std::uint64_t offset, std::uint64_t length, std::uint64_t size) {
    return offset <= size && length <= size - offset;
}

}  // namespace

bool is_cut_off(const std::string& path) {
    const nutils::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat info {};
    ElfW(Ehdr) elf{};
    if (!fd || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
    if (!read_header(fd.get(), 0, elf) || std::memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0) return false;
    const auto size = static_cast<std::uint64_t>(info.st_size);
    for (unsigned i = 0; i < elf.e_phnum; ++i) {
        ElfW(Phdr) part{};
        if (!read_header(fd.get(), elf.e_phoff + std::uint64_t{i} * sizeof part, part)) return true;
        if (part.p_type == PT_LOAD && !fits(part.p_offset, part.p_filesz, size)) return true;
    }
    return false;
}

}  // namespace webby::program
