// A component that is drawn again only where one of its properties is another one.

import { Component } from "preact";

export function memo(Inner) {
  return class extends Component {
    shouldComponentUpdate(next) {
      for (const name in next) if (next[name] !== this.props[name]) return true;
      for (const name in this.props) if (!(name in next)) return true;
      return false;
    }
    render(props) {
      return <Inner {...props} />;
    }
  };
}
