void Fail() { throw 1; }
