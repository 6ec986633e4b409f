// Forms: good UTF-8 comes out, in order; all ways to ask agree.
#include <string>

#include "test/fuzz/fuzz.h"
#include "webby/form.h"
#include "webby/utf8_text.h"

void fuzz::fuzz_one(std::string_view input) {
    using namespace webby;
    const auto form = FormFields::parse(input, {.fields = 20, .name = 30, .value = 200});
    std::size_t at = 0;
    for (FormReader reader(input); reader.next(); ++at) {
        must(is_utf8(reader.name()) && is_utf8(reader.value()), "good UTF-8");
        if (!form) continue;
        must((*form)[at] == FormField{reader.name(), reader.value()}, "the same fields in the same order");
        must(form_value(input, reader.name()) == form->find(reader.name()), "the same first value");
        must(!form->all(reader.name()).empty(), "found among all");
    }
    must(!form || form->size() == at, "as many fields");
    std::string_view rest = input;
    while (!rest.empty()) {
        const Utf8Step step = utf8_step(rest);
        must(step.size >= 1 && step.size <= 4 && step.size <= rest.size(), "a step of 1 to 4 bytes");
        rest.remove_prefix(step.size);
    }
    must(cut_utf8(input, input.size() / 2).size() <= input.size() / 2, "cut to its length");
}
