// Runs a syntax tree.
//
// Every function that can fail records the error in the budget and returns false (Flow::kFail for
// statements); see template_budget.h. Recursion follows the nesting of the tree and of macro calls,
// each level counted by TemplateNesting.
#pragma once

#include "core/chat/template_budget.h"
#include "core/chat/template_builtins.h"
#include "core/chat/template_object.h"
#include "core/chat/template_syntax.h"
#include "core/chat/template_text.h"

namespace lbm {

class TemplateRunner {
 public:
  TemplateRunner(TemplateBudget& budget, const TemplateMap& globals, TextBuilder& out)
      : budget_(budget), globals_(globals), out_(&out), scope_(&root_) {}

  [[nodiscard]] bool run(const Statement* body);

  // For builtins.
  [[nodiscard]] bool invoke(const TemplateBuiltin& builtin, TemplateValue self,
                            const TemplateArguments& arguments, TemplateValue* out);
  // loop(items) of a recursive loop.
  [[nodiscard]] bool call_loop(const LoopObject& loop, const TemplateArguments& arguments,
                               TemplateValue* out);
  void set_exception(Str message) { exception_ = message; }
  [[nodiscard]] Str exception() const { return exception_; }

 private:
  enum class Flow : u8 { kNext, kBreak, kContinue, kFail };

  // Statements (template_runner.cpp)
  [[nodiscard]] Flow exec(const Statement* body);
  [[nodiscard]] Flow exec_one(const Statement& statement);
  [[nodiscard]] Flow exec_if(const IfStatement& statement);
  [[nodiscard]] Flow exec_for(const ForStatement& statement);
  [[nodiscard]] Flow run_loop(const ForStatement& statement, TemplateItems items, u32 depth0);
  [[nodiscard]] Flow exec_set_block(const SetBlockStatement& statement);
  [[nodiscard]] Flow exec_filter_block(const FilterBlockStatement& statement);
  [[nodiscard]] Flow exec_with(const WithStatement& statement);
  [[nodiscard]] Flow exec_scope(const Statement* body);
  [[nodiscard]] Flow capture(const Statement* body, TemplateValue* out);
  [[nodiscard]] bool filter_items(const ForStatement& statement, TemplateItems* items);
  [[nodiscard]] bool output(const Expr& value);
  [[nodiscard]] bool define_macro(const MacroSyntax& syntax, TemplateValue* out);
  [[nodiscard]] bool call_block(const CallBlockStatement& statement);
  [[nodiscard]] bool assign(const TargetSyntax& target, TemplateValue value);
  [[nodiscard]] bool check_target(const TargetSyntax& target);

  // Expressions (template_runner_expression.cpp)
  [[nodiscard]] bool eval(const Expr& expr, TemplateValue* out);
  [[nodiscard]] bool eval_node(const Expr& expr, TemplateValue* out);
  [[nodiscard]] bool eval_name(const NameExpr& expr, TemplateValue* out);
  [[nodiscard]] bool eval_list(const ListExpr& expr, TemplateValue* out);
  [[nodiscard]] bool eval_map(const ListExpr& expr, TemplateValue* out);
  [[nodiscard]] bool eval_sign(const UnaryExpr& expr, TemplateValue* out);
  [[nodiscard]] bool eval_logic(const ListExpr& expr, TemplateValue* out);
  [[nodiscard]] bool eval_arithmetic(const ListExpr& expr, TemplateValue* out);
  [[nodiscard]] bool eval_concat(const ListExpr& expr, TemplateValue* out);
  [[nodiscard]] bool eval_compare(const ListExpr& expr, TemplateValue* out);
  // `caller` goes to the last call as its argument of that name.
  [[nodiscard]] bool eval_postfix(const PostfixExpr& expr, const TemplateValue* caller,
                                  TemplateValue* out);
  [[nodiscard]] bool apply(const PostfixOp& op, const TemplateValue* caller, TemplateValue* value);
  [[nodiscard]] bool apply_builtin(const PostfixOp& op, TemplateValue* value);
  [[nodiscard]] bool apply_slice(const PostfixOp& op, TemplateValue* value);
  [[nodiscard]] bool apply_chain(const PostfixOp* ops, TemplateValue* value);

  // Calls (template_runner_call.cpp)
  [[nodiscard]] bool eval_arguments(const ArgumentSyntax* first, TemplateArguments* out);
  [[nodiscard]] bool call(TemplateValue callee, const TemplateArguments& arguments,
                          TemplateValue* out);
  [[nodiscard]] bool call_macro(const MacroObject& macro, const TemplateArguments& arguments,
                                TemplateValue* out);
  [[nodiscard]] bool bind_macro(const MacroSyntax& syntax, const TemplateArguments& arguments);
  [[nodiscard]] bool bind_rest(const MacroSyntax& syntax, const TemplateArguments& arguments);
  [[nodiscard]] bool bind_parameters(const MacroSyntax& syntax, const TemplateArguments& arguments,
                                     u32* n_named, bool* has_caller);

  [[nodiscard]] TemplateScope* push_scope(TemplateScope* parent);
  [[nodiscard]] bool set_variable(Str name, TemplateValue value);

  TemplateBudget& budget_;
  const TemplateMap& globals_;
  TextBuilder* out_;
  TemplateScope root_;
  TemplateScope* scope_;
  Str exception_;
};

}  // namespace lbm
