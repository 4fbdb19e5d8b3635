#include <format>
