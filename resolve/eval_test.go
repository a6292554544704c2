package resolve

import (
	"strings"
	"testing"
)

// evaluate resolves one value of a module of environment prod.
func evaluate(t testing.TB, value string, vars map[string]string) (string, error) {
	t.Helper()
	text := header + "modules:\n  - {name: other-1, type: core.data, config: {name: called}}\n" +
		"  - name: m\n    type: core.data\n    config: {values: {x: '" + strings.ReplaceAll(value, "'", "''") + "'}}\nimages: {app: {builder: go}}\n"
	set, err := Resolve(mustLoad(t, text), Options{Env: "prod", Getenv: getenv(vars)})
	if err != nil {
		return "", err
	}
	r, err := nodeOf(t, set, "m").Config().Resolve(fakeScope{})
	raw := strings.TrimSuffix(strings.TrimPrefix(string(r.Config.JSON), `{"values":{"x":`), "}}")
	return raw, err
}

// The semantics of GitHub's expressions, from its documentation and its
// runner's own tests.
func TestExpressions(t *testing.T) {
	vars := map[string]string{"NAME": "World", "EMPTY": "", "GITHUB_REPOSITORY": "acme/shop", "GITHUB_REF_NAME": "main", "N": "12"}
	for in, want := range map[string]string{
		// literals
		"${{ null }}": `null`, "${{ true }}": `true`, "${{ 711 }}": `711`, "${{ -9.2 }}": `-9.2`, "${{ 0xff }}": `255`,
		"${{ -2.99e-2 }}": `-0.0299`, "${{ 'Mona the Octocat' }}": `"Mona the Octocat"`, "${{ 'It''s open source!' }}": `"It's open source!"`,
		// contexts
		"${{ project }}": `"shop"`, "${{ environment }}": `"prod"`, "${{ project.name }}": `"shop"`, "${{ environment.name }}": `"prod"`,
		"${{ env.NAME }}": `"World"`, "${{ env['NAME'] }}": `"World"`, "${{ ENV.NAME }}": `"World"`, "${{ secrets.NAME }}": `"World"`,
		"${{ github.repository }}": `"acme/shop"`, "${{ github.REF_NAME }}": `"main"`, "${{ vars.domain }}": `"shop.example.com"`,
		"${{ vars.port }}": `8080`, "${{ vars.tags }}": `["a","b"]`, "${{ vars.tags[1] }}": `"b"`, "${{ vars.deep }}": `{"er":[1,{"x":"y"}]}`,
		"${{ vars.deep.er[1].x }}": `"y"`, "${{ vars['deep']['er'][0] }}": `1`, "${{ vars.deep.ER[1].X }}": `"y"`,
		"${{ modules.other-1.name }}": `"called"`, "${{ modules['other-1'].name }}": `"called"`, "${{ modules[format('other-{0}', 1)].name }}": `"called"`,
		// text around
		"http://${{ vars.domain }}:${{ vars.port }}/": `"http://shop.example.com:8080/"`, "${{ env.NAME }} ": `"World "`, "a${{ true }}b${{ null }}c": `"atruebc"`,
		"${{ 1.0 }}x": `"1x"`, "${{ 1e20 }}x": `"1E+20x"`, "${{ 123456789 }}x": `"123456789x"`, "${{ 0.1 }}x": `"0.1x"`,
		// operators
		"${{ !true }}": `false`, "${{ !'' }}": `true`, "${{ 1 < 2 }}": `true`, "${{ 2 <= 2 }}": `true`, "${{ 1 > 2 }}": `false`, "${{ 2 >= 3 }}": `false`,
		"${{ 'a' == 'A' }}": `true`, "${{ 'a' != 'A' }}": `false`, "${{ 'a' < 'B' }}": `true`, "${{ 'b' > 'A' }}": `true`,
		"${{ 1 == '1' }}": `true`, "${{ 1 == '1.0' }}": `true`, "${{ '0x10' == 16 }}": `true`, "${{ true == 1 }}": `true`, "${{ false == '' }}": `true`,
		"${{ null == 0 }}": `true`, "${{ null == '' }}": `true`, "${{ 'x' == 0 }}": `false`, "${{ 'x' < 1 }}": `false`, "${{ 'x' >= 1 }}": `false`,
		"${{ vars.tags == vars.tags }}": `true`, "${{ fromJSON('[]') == fromJSON('[]') }}": `false`, "${{ vars.tags == 'Array' }}": `false`,
		"${{ 'a' && 'b' }}": `"b"`, "${{ '' && 'b' }}": `""`, "${{ 'a' || 'b' }}": `"a"`, "${{ '' || 'b' }}": `"b"`, "${{ 0 || null || 'c' }}": `"c"`,
		"${{ environment == 'prod' && 'big' || 'small' }}": `"big"`, "${{ (1 == 2 || true) && !false }}": `true`,
		// what is not there
		"${{ env.LOST || 'default' }}": `"default"`, "${{ env.LOST == null }}": `true`, "${{ env.LOST == '' }}": `true`, "${{ !env.LOST }}": `true`,
		"${{ vars.lost.deeper || 1 }}": `1`, "${{ env.EMPTY || 'default' }}": `"default"`, "${{ env.LOST && 'x' || 'y' }}": `"y"`, "${{ vars.tags[7] || 'none' }}": `"none"`,
		// functions
		"${{ contains('Hello world', 'LLO') }}": `true`, "${{ contains(vars.tags, 'B') }}": `true`, "${{ contains(vars.tags, 'ab') }}": `false`,
		"${{ contains(fromJSON('[1,2]'), '2') }}": `true`, "${{ contains(123, 2) }}": `true`, "${{ CONTAINS('ab', 'b') }}": `true`,
		"${{ startsWith('Hello', 'he') }}": `true`, "${{ endsWith('Hello', 'LO') }}": `true`, "${{ startsWith(123, '12') }}": `true`, "${{ startsWith(vars.tags, 'a') }}": `false`,
		"${{ format('Hello {0} {1} {0}', 'a', 2) }}": `"Hello a 2 a"`, "${{ format('{{Hello {0}!}}', 'x') }}": `"{Hello x!}"`, "${{ format('none') }}": `"none"`,
		"${{ join(vars.tags, ', ') }}": `"a, b"`, "${{ join(vars.tags) }}": `"a,b"`, "${{ join('x', '-') }}": `"x"`, "${{ join(fromJSON('[]')) }}": `""`, "${{ join(fromJSON('[1,null,true]'), '|') }}": `"1||true"`,
		"${{ toJSON(vars.tags) }}": `"[\n  \"a\",\n  \"b\"\n]"`, "${{ toJSON('a') }}": `"\"a\""`, "${{ toJSON(fromJSON('{\"b\":1,\"a\":{}}')) }}": `"{\n  \"b\": 1,\n  \"a\": {}\n}"`,
		"${{ fromJSON('{\"a\": [1, 2]}').a[1] }}": `2`, "${{ fromJSON(env.N) }}": `12`, "${{ fromJSON('true') }}": `true`, "${{ fromJSON('null') }}": `null`,
		"${{ join(fromJSON('[{\"n\":\"a\"},{\"n\":\"b\"},{}]').*.n, '+') }}": `"a+b"`, "${{ join(fromJSON('{\"x\":{\"n\":1},\"y\":{\"n\":2}}').*.n) }}": `"1,2"`,
		"${{ toJSON(fromJSON('[[1],[2,3]]').*.*) }}": `"[\n  1,\n  2,\n  3\n]"`, "${{ fromJSON('[[1],[2]]').*[1] }}": `[2]`,
		// variables and escapes
		"${NAME}": `"World"`, "Hello ${NAME}!": `"Hello World!"`, "${EMPTY}": `""`, "${EMPTY:-x}": `"x"`, "${LOST:-x}": `"x"`, "${LOST:-}": `""`, "${LOST:-${NAME}}": `"World"`,
		"${LOST:-a${{ vars.port }}b}": `"a8080b"`, "${LOST:-{x}}": `"{x}"`, "$${NAME}": `"${NAME}"`, "$${{ x }}": `"${{ x }}"`, "$$$${NAME}": `"$$${NAME}"`, "$NAME $ $$": `"$NAME $ $$"`,
		"a } b {": `"a } b {"`, "${N}": `"12"`,
	} {
		got, err := evaluate(t, in, vars)
		if err != nil {
			t.Errorf("%s: %s", in, render(err))
		} else if got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
}

func TestExpressionsThatFail(t *testing.T) {
	for in, want := range map[string]string{
		"${{ env.LOST }}":                      "the environment variable LOST is not set",
		"a ${{ env.LOST }}":                    "the environment variable LOST is not set",
		"${{ format('{0}', env.LOST) }}":       "the environment variable LOST is not set",
		"${{ env.LOST < 1 }}":                  "the environment variable LOST is not set",
		"${{ env.LOST.deeper }}":               "the environment variable LOST is not set",
		"${{ vars.tags.x }}":                   `a list has no property "x"`,
		"${{ vars.tags[9] }}":                  "the list has 2 elements",
		"${{ vars[env.LOST] }}":                "the environment variable LOST is not set",
		"${{ vars.deep.zz }}":                  `there is no property "zz"`,
		"${{ vars.port.* }}":                   "has no elements",
		"${{ vars.* }}":                        "has no elements",
		"${{ format('{') }}":                   "a { without a }",
		"${{ format('}') }}":                   "a } without a {",
		"${{ format('{x}', 1) }}":              "the format has {x}",
		"${{ format(vars.tags) }}":             "format wants a string first",
		"${{ format('{0}', vars.tags) }}":      "format cannot show a list",
		"${{ join(vars.deep) }}":               "join wants a list",
		"${{ join(fromJSON('[[1]]')) }}":       "join cannot show a list",
		"${{ fromJSON('[1] 2') }}":             "not JSON",
		"${{ fromJSON(vars.tags) }}":           "fromJSON wants a string",
		"${{ toJSON(env) }}":                   "cannot be used as a whole",
		"${{ vars[vars.tags] }}":               "cannot be an index",
		"${{ images }}":                        `the context "images" cannot be used as a whole`,
		"${{ modules[fromJSON('[1]')].name }}": `the context "modules" cannot be used as a whole`,
		"${{ 1 2 }}":                           "there is more behind the end",
		"${{ (1 }}":                            "the expression ends too early",
		"${{ 'a }}":                            "a string in the expression is not closed",
		"${{ success() }}":                     `there is no function "success"`,
		"${{ toJSON() }}":                      "toJSON takes 1 argument, not 0",
		"${{ join(1,2,3) }}":                   "join takes 1 or 2 arguments, not 3",
		"${{ format() }}":                      "format takes 1 arguments or more, not 0",
		"${" + strings.Repeat("A:-${", 30) + "B" + strings.Repeat("}", 31): "nested too deeply",
		"${{ " + strings.Repeat("(", 30_000) + " }}":                       "the expression",
	} {
		got, err := evaluate(t, in, nil)
		if err == nil {
			t.Errorf("%.60s is %s and should fail", in, got)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s fails with %q, want %q", in, err, want)
		}
	}
}

// A broken string costs one error for each of its mistakes.
func TestSeveralMistakesInOneString(t *testing.T) {
	_, err := evaluate(t, "${A ${{ nope.x }} ${{ ) }} ${1}", nil)
	if got := strings.Count(err.Error(), "\n") + 1; got < 1 {
		t.Errorf("%d errors", got)
	}
	_, err = evaluate(t, "${{ nope.x }} ${{ ) }} ${1} ${{ stil.y }}", nil)
	if got := strings.Count(err.Error(), "\n") + 1; got != 4 {
		t.Errorf("%d errors: %v", got, err)
	}
}

func TestFormatNumber(t *testing.T) {
	for in, want := range map[float64]string{
		0: "0", 1: "1", -1.5: "-1.5", 1e14: "100000000000000", 1e15: "1E+15", 0.00001: "0.00001", 0.000001: "1E-06", 1.0 / 3: "0.333333333333333",
		123456.789: "123456.789", 2e300: "2E+300",
	} {
		if got := formatNumber(in); got != want {
			t.Errorf("%v is %s, want %s", in, got, want)
		}
	}
}

func TestLooksSecret(t *testing.T) {
	for name, want := range map[string]bool{
		"TOKEN": true, "GITHUB_TOKEN": true, "DB_PASSWORD": true, "DBPASSWORD": true, "API_KEY": true, "APIKEY": true, "AWS_ACCESS_KEY_ID": true,
		"DB_PASS": true, "MY_SECRETS": true, "TOKENS": true, "db_password": true, "CREDENTIALS_FILE": true, "PASSWD": true,
		"HOME": false, "KEYBOARD": false, "COMPASS": false, "PORT": false, "SECRETARY": false, "TOKENIZER_URL": false, "": false,
	} {
		if got := looksSecret(name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func FuzzExpression(f *testing.F) {
	for _, s := range []string{"env.A", "format('{0}', vars.x)", "fromJSON('[1]').*.a[0]", "!(1 < 'a' && modules.b.outputs.c || null)", "images.x.y", "join(modules['b'].outputs.c)", "0x1F == '31'", "toJSON(fromJSON('{\"a\":[]}'))"} {
		f.Add(s)
	}
	file := mustLoad(f, header+"modules: [{name: b, type: core.data}]\nimages: {x: {}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := newResolver(file, Options{Env: "prod", Getenv: getenv(map[string]string{"A": "1"})})
		if err := r.pickEnvironment(); err != nil {
			t.Fatal(err)
		}
		r.makeRoots()
		r.enableAll()
		parts, errs := parseTemplate("${{"+text+"}}", &binder{module: r.moduleName, image: r.imageFor(noProvider), pushed: r.pushed, settled: &scope{contexts: r.roots}})
		for _, e := range errs {
			if e.message == "" || e.offset < 0 {
				t.Fatalf("%+v", e)
			}
		}
		_, _ = evalParts(parts, &scope{contexts: r.roots})
	})
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"${A}", "${A:-${B:-c}}", "$${A}", "${{ env.A }} ${B}", "${", "${{", "$", "${A:-${{ 'x}}' }}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parts, errs := parseTemplate(text, nil)
		if !strings.Contains(text, "$") && (len(errs) > 0 || len(parts) > 1) {
			t.Fatalf("%q is %v, %v", text, parts, errs)
		}
		for _, e := range errs {
			if e.offset < 0 || e.offset > len(text) || e.width < 0 {
				t.Fatalf("%q: %+v", text, e)
			}
		}
	})
}
