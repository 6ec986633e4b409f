// Names for addresses, from the symbol tables of the files that are mapped. Without allocation, so that it
// can be done in a signal handler; only demangling allocates.
#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "corothread/backtrace.h"
#include "corothread/source_lines.h"

namespace corothread {
namespace {

// A file, mapped for reading, while it lives.
class MappedFile {
  public:
    explicit MappedFile(const char* path) {
        const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) return;
        struct stat status = {};
        if (::fstat(fd, &status) == 0 && status.st_size > 0) {
            const auto bytes = static_cast<std::size_t>(status.st_size);
            void* const memory = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
            if (memory != MAP_FAILED) {
                begin_ = static_cast<const char*>(memory);
                size_ = bytes;
            }
        }
        ::close(fd);
    }
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    ~MappedFile() {
        if (begin_ != nullptr) ::munmap(const_cast<char*>(begin_), size_);
    }
    // `count` of T at `offset`, or null when the file is shorter.
    template <class T>
    const T* at(std::size_t offset, std::size_t count = 1) const {
        if (begin_ == nullptr || offset > size_ || count > (size_ - offset) / sizeof(T)) return nullptr;
        return reinterpret_cast<const T*>(begin_ + offset);
    }

  private:
    const char* begin_ = nullptr;
    std::size_t size_ = 0;
};

struct Module {
    const char* path;
    std::uintptr_t moved_by;  // where it lies, less where it was linked for
};

std::uintptr_t moved_by(const void* base) {
    // ET_DYN is linked for address 0, ET_EXEC for where it is.
    const bool anywhere = static_cast<const ElfW(Ehdr)*>(base)->e_type == ET_DYN;
    return anywhere ? reinterpret_cast<std::uintptr_t>(base) : 0;
}

// In a statically linked program dladdr knows nothing.
struct StaticSearch {
    std::uintptr_t address;
    Module& module;

    static int look(dl_phdr_info* info, std::size_t, void* self) {
        auto& search = *static_cast<StaticSearch*>(self);
        for (std::size_t i = 0; i < info->dlpi_phnum; ++i) {
            const ElfW(Phdr)& part = info->dlpi_phdr[i];
            if (part.p_type != PT_LOAD || search.address - (info->dlpi_addr + part.p_vaddr) >= part.p_memsz)
                continue;
            const bool named = info->dlpi_name != nullptr && *info->dlpi_name != '\0';
            search.module = {named ? info->dlpi_name : "/proc/self/exe", info->dlpi_addr};
            return 1;
        }
        return 0;
    }
};

bool module_of(const void* address, Module& module) {
    Dl_info info = {};
    if (::dladdr(address, &info) == 0 || info.dli_fbase == nullptr) {
        StaticSearch search{reinterpret_cast<std::uintptr_t>(address), module};
        return ::dl_iterate_phdr(&StaticSearch::look, &search) != 0;
    }
    module = {info.dli_fname, moved_by(info.dli_fbase)};
    // The program itself is known by how it was called, which may not lead to it any more.
    Dl_info program = {};
    if (::dladdr(reinterpret_cast<const void*>(::getauxval(AT_PHDR)), &program) != 0 &&
        program.dli_fbase == info.dli_fbase)
        module.path = "/proc/self/exe";
    return true;
}

struct Symbol {
    char name[256] = {};
    std::size_t offset = 0;  // in the function
};

bool find_in_table(const MappedFile& file, const ElfW(Shdr) & table, const ElfW(Shdr) & strings,
                   std::uintptr_t address, Symbol& found) {
    const std::size_t count = table.sh_entsize == 0 ? 0 : table.sh_size / table.sh_entsize;
    const auto* const symbols = file.at<ElfW(Sym)>(table.sh_offset, count);
    const auto* const names = file.at<char>(strings.sh_offset, strings.sh_size);
    if (symbols == nullptr || names == nullptr) return false;
    for (std::size_t i = 0; i < count; ++i) {
        const ElfW(Sym)& symbol = symbols[i];
        if ((symbol.st_info & 0xf) != STT_FUNC || symbol.st_shndx == SHN_UNDEF) continue;
        if (address < symbol.st_value || address >= symbol.st_value + symbol.st_size) continue;
        if (symbol.st_name >= strings.sh_size) continue;
        std::strncpy(found.name, names + symbol.st_name, sizeof found.name - 1);
        found.offset = address - symbol.st_value;
        return true;
    }
    return false;
}

// `address` as the file's symbols count it.
bool find_symbol(const char* path, std::uintptr_t address, Symbol& found) {
    const MappedFile file(path);
    const auto* const header = file.at<ElfW(Ehdr)>(0);
    if (header == nullptr || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return false;
    const auto* const sections = file.at<ElfW(Shdr)>(header->e_shoff, header->e_shnum);
    if (sections == nullptr) return false;
    for (const ElfW(Word) kind : {ElfW(Word){SHT_SYMTAB}, ElfW(Word){SHT_DYNSYM}})
        for (std::size_t i = 0; i < header->e_shnum; ++i)
            if (sections[i].sh_type == kind && sections[i].sh_link < header->e_shnum &&
                find_in_table(file, sections[i], sections[sections[i].sh_link], address, found))
                return true;
    return false;
}

// What is known of one frame.
struct Place {
    Module module{};
    std::uintptr_t in_file = 0;
    Symbol symbol{};
};

bool find(const void* frame, Place& place) {
    // A return address may be the first one of the next function.
    const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(frame) - 1;
    if (!module_of(reinterpret_cast<const void*>(address), place.module)) return false;
    place.in_file = address - place.module.moved_by;
    find_symbol(place.module.path, place.in_file, place.symbol);
    return true;
}

// Text of limited length, built without allocation.
class Line {
  public:
    Line& operator<<(const char* text) {
        for (; *text != '\0' && size_ < sizeof text_; ++text) text_[size_++] = *text;
        return *this;
    }
    Line& hex(std::uintptr_t number) {
        char digits[2 * sizeof number + 1];
        char* begin = digits + sizeof digits - 1;
        *begin = '\0';
        do *--begin = "0123456789abcdef"[number % 16];
        while ((number /= 16) != 0);
        return *this << "0x" << begin;
    }
    [[nodiscard]] std::string_view text() const { return {text_, size_}; }

  private:
    char text_[768];
    std::size_t size_ = 0;
};

const char* file_name(const char* path, char* buffer, std::size_t size) {
    if (std::strcmp(path, "/proc/self/exe") != 0) return path;
    const ssize_t length = ::readlink(path, buffer, size - 1);
    if (length <= 0) return path;
    buffer[length] = '\0';
    return buffer;
}

void describe(Line& line, const void* frame, const Place& place, const char* name) {
    if (place.module.path == nullptr) {
        line.hex(reinterpret_cast<std::uintptr_t>(frame));
        return;
    }
    if (*name != '\0') {
        line << name << "+";
        line.hex(place.symbol.offset + 1) << " (";
    }
    char path[256];
    line << file_name(place.module.path, path, sizeof path) << "+";
    line.hex(place.in_file);
    if (*name != '\0') line << ")";
}

}  // namespace

std::string symbol_of(const void* frame) {
    Place place;
    find(frame, place);
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> demangled(
        abi::__cxa_demangle(place.symbol.name, nullptr, nullptr, &status), &std::free);
    Line line;
    describe(line, frame, place, demangled ? demangled.get() : place.symbol.name);
    return std::string(line.text());
}

void write_symbol(int fd, const void* frame) {
    Place place;
    find(frame, place);
    Line line;
    describe(line, frame, place, place.symbol.name);
    line << "\n";
    (void)!::write(fd, line.text().data(), line.text().size());
}

namespace {
std::string listed(const Backtrace& backtrace, std::string_view indent, const SourceLines* lines) {
    std::string text;
    std::size_t number = 0;
    for (const void* frame : backtrace) {
        if (number == Backtrace::kInner && backtrace.depth() > backtrace.size())
            text.append(indent).append("… ").append(std::to_string(backtrace.depth() - backtrace.size())) +=
                " more\n";
        text.append(indent).append("#").append(std::to_string(number++)).append(" ");
        text.append(symbol_of(frame));
        if (const std::string line = lines != nullptr ? lines->of(frame) : ""; !line.empty())
            text.append(" at ").append(line);
        text.append("\n");
    }
    return text;
}
}  // namespace

std::string to_string(const Backtrace& backtrace, std::string_view indent) {
    return listed(backtrace, indent, nullptr);
}

std::string to_string(const Backtrace& backtrace, std::string_view indent, const SourceLines& lines) {
    return listed(backtrace, indent, &lines);
}

void write_backtrace(int fd, const Backtrace& backtrace) {
    std::size_t number = 0;
    for (const void* frame : backtrace) {
        if (number == Backtrace::kInner && backtrace.depth() > backtrace.size())
            (void)!::write(fd, "  …\n", sizeof "  …\n" - 1);
        ++number;
        (void)!::write(fd, "  ", 2);
        write_symbol(fd, frame);
    }
}

}  // namespace corothread
