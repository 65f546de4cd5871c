import { defineConfig } from 'vite'

export default defineConfig({
  build: {
    outDir: 'dist/page',
    // dist/ also holds the compiled server.
    emptyOutDir: true,
    target: 'es2022',
    // The page's content security policy admits no inline data.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
})
