// Fibonacci numbers, first form: a plain loop that prints.
//
//   plain [N]     the first N numbers, 10 unless told
//
// Nothing could be simpler to read: two variables, and the place where the next number is made is the place
// where it is used. But that is its weakness too: making numbers and using them cannot be told apart. Whoever
// wants the sum of the numbers instead of a list has to write the loop again. The other three forms are ways
// to take them apart.
#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
    const long count = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 10;
    unsigned long long current = 0;
    unsigned long long next = 1;
    for (long i = 0; i < count; ++i) {
        std::printf("%llu\n", current);
        const unsigned long long sum = current + next;
        current = next;
        next = sum;
    }
}
