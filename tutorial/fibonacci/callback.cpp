// Fibonacci numbers, third form: a function that calls another one with each number.
//
//   callback [N]     the first N numbers, 10 unless told
//
// No memory any more, and the caller may stop when it likes. But control is inverted: the maker is in charge,
// and the user has become a function that is called. What the user would have kept in local variables and in
// the place where it stands (how many there were, what comes next) must now live in an object between calls.
// Here that is one counter; to walk two sequences in step, or to wait for a client between two numbers, the
// user has to become a state machine. A server written with event callbacks is this program, grown up.
#include <cstdio>
#include <cstdlib>
#include <functional>

// Calls `take` with one number after the other until it returns false.
static void fibonacci(const std::function<bool(unsigned long long)>& take) {
    unsigned long long current = 0;
    unsigned long long next = 1;
    while (take(current)) {
        const unsigned long long sum = current + next;
        current = next;
        next = sum;
    }
}

// The state that a plain loop would have kept in a variable.
struct FirstNumbers {
    long left;
    bool operator()(unsigned long long number) {
        if (left == 0) return false;
        --left;
        std::printf("%llu\n", number);
        return true;
    }
};

int main(int argc, char** argv) {
    const long count = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 10;
    fibonacci(FirstNumbers{count > 0 ? count : 0});
}
