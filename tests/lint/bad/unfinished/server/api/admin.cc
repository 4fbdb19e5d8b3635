// TODO: write this.
